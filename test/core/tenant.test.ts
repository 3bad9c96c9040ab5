import { describe, expect, test } from "vitest";
import { keyAdmits, mintKey, parseKey, randomBase62 } from "../../core/tenant.ts";

describe("an API key", () => {
  const { text, key } = mintKey("ten_1", "pepper", 7);
  const parsed = parseKey(text);

  test("admits with its own secret only, and never once revoked", () => {
    expect(text).toMatch(/^vdr_live_[0-9A-Za-z]{60}$/);
    expect(parsed?.id).toBe(key.id);
    expect(keyAdmits(key, parsed?.secret ?? "", "pepper")).toBe(true);
    expect(keyAdmits(key, parsed?.secret ?? "", "other pepper")).toBe(false);
    expect(keyAdmits(key, randomBase62(32), "pepper")).toBe(false);
    expect(keyAdmits({ ...key, revokedAt: 9 }, parsed?.secret ?? "", "pepper")).toBe(false);
  });

  test("is not stored: the record holds no part of the secret", () => {
    expect(JSON.stringify(key)).not.toContain(parsed?.secret.slice(0, 8));
  });

  test("mistyped in any one place is recognised without a read", () => {
    for (let i = 9; i < text.length; i += 1) {
      const wrong = text.slice(0, i) + (text[i] === "a" ? "b" : "a") + text.slice(i + 1);
      expect(parseKey(wrong)).toBeNull();
    }
    expect(parseKey("")).toBeNull();
    expect(parseKey(`${text} `)).toBeNull();
  });
});
