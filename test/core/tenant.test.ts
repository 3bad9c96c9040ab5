import { describe, expect, test } from "vitest";
import { keyAdmits, mintKey, parseKey, randomBase62 } from "../../core/tenant.ts";
import { grantOf } from "./new-key.ts";

describe("an API key", () => {
  const { text, key } = mintKey(grantOf("ten_1"), "pepper", 7);
  const parsed = parseKey(text);

  test("admits with its own secret only, and never once revoked", () => {
    expect(text).toMatch(/^vdr_live_[0-9A-Za-z]{60}$/);
    expect(parsed?.id).toBe(key.id);
    expect(keyAdmits(key, parsed?.secret ?? "", { pepper: "pepper", now: 8 })).toBe(true);
    expect(keyAdmits(key, parsed?.secret ?? "", { pepper: "other pepper", now: 8 })).toBe(false);
    expect(keyAdmits(key, randomBase62(32), { pepper: "pepper", now: 8 })).toBe(false);
    expect(
      keyAdmits({ ...key, revokedAt: 9 }, parsed?.secret ?? "", { pepper: "pepper", now: 8 }),
    ).toBe(false);
    const mortal = { ...key, expiresAt: 9 };
    expect(
      [8, 9].map((now) => keyAdmits(mortal, parsed?.secret ?? "", { pepper: "pepper", now })),
    ).toEqual([true, false]);
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
