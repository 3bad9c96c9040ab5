import { randomBytes } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import {
  mintWebhookSecret,
  seal,
  signedHeaders,
  unseal,
  webhookSecretBytes,
} from "../../core/webhook-secret.ts";

const body = '{"type":"run.succeeded","data":{"note":"ü € 🖼"}}';

describe("signing", () => {
  test("the Standard Webhooks' own library takes what we sign, and refuses it once a byte is changed", () => {
    const secret = mintWebhookSecret();
    const headers = signedHeaders({ id: "evt_1", at: Date.now(), body }, [secret]);
    expect(new Webhook(secret).verify(body, headers)).toEqual(JSON.parse(body));
    expect(() => new Webhook(secret).verify(`${body} `, headers)).toThrow();
    expect(() => new Webhook(mintWebhookSecret()).verify(body, headers)).toThrow();
    expect(() => new Webhook(secret).verify(body, { ...headers, "webhook-id": "evt_2" })).toThrow();
  });

  test("during a rotation either of both secrets verifies", () => {
    const [fresh, former] = [mintWebhookSecret(), mintWebhookSecret()];
    const headers = signedHeaders({ id: "evt_1", at: Date.now(), body }, [fresh, former]);
    for (const secret of [fresh, former])
      expect(new Webhook(secret).verify(body, headers)).toEqual(JSON.parse(body));
  });

  test("the time is in whole seconds, and an old one is refused by the receiver", () => {
    const secret = mintWebhookSecret();
    const at = Date.now() - 6 * 60_000;
    const headers = signedHeaders({ id: "evt_1", at, body }, [secret]);
    expect(headers["webhook-timestamp"]).toBe(String(Math.floor(at / 1_000)));
    expect(() => new Webhook(secret).verify(body, headers)).toThrow(/too old/);
  });
});

describe("secrets", () => {
  test("of 24 to 64 bytes are taken", () => {
    for (const size of [24, 32, 64])
      expect(webhookSecretBytes(`whsec_${randomBytes(size).toString("base64")}`)).toHaveLength(
        size,
      );
  });

  test.each([
    ["too short", `whsec_${randomBytes(23).toString("base64")}`],
    ["too long", `whsec_${randomBytes(65).toString("base64")}`],
    ["without its prefix", randomBytes(32).toString("base64")],
    ["not base64", `whsec_${"ü".repeat(40)}`],
    ["base64url", `whsec_${"-_".repeat(20)}`],
    ["empty", ""],
  ])("%s are refused", (_why, secret) => {
    expect(() => webhookSecretBytes(secret)).toThrow(
      expect.objectContaining({ code: "INVALID", inputPath: ["secret"] }),
    );
  });
});

describe("sealing", () => {
  const sealing = { tenantId: "ten_1", serviceSecret: "a".repeat(32) };

  test("gives back the secret, and hides it", () => {
    const secret = mintWebhookSecret();
    const sealed = seal(secret, sealing);
    expect(unseal(sealed, sealing)).toBe(secret);
    expect(sealed).not.toContain(secret.slice(6, 20));
    expect(seal(secret, sealing)).not.toBe(sealed);
  });

  test.each([
    ["another tenant", { ...sealing, tenantId: "ten_2" }],
    ["another secret of the service", { ...sealing, serviceSecret: "b".repeat(32) }],
  ])("%s cannot open it", (_who, other) => {
    expect(() => unseal(seal(mintWebhookSecret(), sealing), other)).toThrow(
      expect.objectContaining({ code: "INTERNAL" }),
    );
  });

  test("a changed or cut one is not opened", () => {
    const sealed = Buffer.from(seal(mintWebhookSecret(), sealing), "base64");
    sealed[20] = (sealed[20] ?? 0) ^ 1;
    expect(() => unseal(sealed.toString("base64"), sealing)).toThrow(
      expect.objectContaining({ code: "INTERNAL" }),
    );
    expect(() => unseal("AAAA", sealing)).toThrow(expect.objectContaining({ code: "INTERNAL" }));
  });
});
