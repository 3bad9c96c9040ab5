import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from "node:crypto";
import { AppError } from "./errors.ts";

/** A new signing secret, as Standard Webhooks writes it: `whsec_` and 32 random bytes in base64. */
export function mintWebhookSecret(): string {
  return `whsec_${randomBytes(32).toString("base64")}`;
}

/** The bytes of a signing secret, 24 to 64 of them. Throws AppError INVALID. */
export function webhookSecretBytes(secret: string): Buffer {
  const [, base64 = ""] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(secret) ?? [];
  const bytes = Buffer.from(base64, "base64");
  if (
    bytes.length >= 24 &&
    bytes.length <= 64 &&
    bytes.toString("base64").replace(/=+$/, "") === base64.replace(/=+$/, "")
  )
    return bytes;
  throw new AppError("INVALID", "This is no signing secret of Standard Webhooks.", {
    path: ["secret"],
    fix: "Give whsec_ and 24 to 64 random bytes in base64: echo whsec_$(openssl rand -base64 32)",
  });
}

/**
 * The headers of one attempt at a delivery (Standard Webhooks 1.0): one signature for each secret
 * over `id.timestamp.body`, HMAC-SHA-256 in base64. `at` in milliseconds since 1970.
 */
export function signedHeaders(
  message: { readonly id: string; readonly at: number; readonly body: string },
  secrets: readonly string[],
) {
  const timestamp = String(Math.floor(message.at / 1_000));
  const signatures = secrets.map((secret) => {
    const hmac = createHmac("sha256", webhookSecretBytes(secret)).update(
      `${message.id}.${timestamp}.${message.body}`,
    );
    return `v1,${hmac.digest("base64")}`;
  });
  return {
    "webhook-id": message.id,
    "webhook-timestamp": timestamp,
    "webhook-signature": signatures.join(" "),
  };
}

/**
 * A secret as it may lie in a store: AES-256-GCM under a key derived from the service's secret,
 * good for this tenant only.
 */
export function seal(secret: string, { tenantId, serviceSecret }: Sealing): string {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv("aes-256-gcm", sealingKey(serviceSecret), nonce).setAAD(
    Buffer.from(tenantId),
  );
  const sealed = Buffer.concat([cipher.update(secret, "utf8"), cipher.final()]);
  return Buffer.concat([nonce, sealed, cipher.getAuthTag()]).toString("base64");
}

/**
 * Takes back `seal`. Throws AppError INTERNAL where the service's secret is another than it was
 * then.
 */
export function unseal(sealed: string, { tenantId, serviceSecret }: Sealing): string {
  const bytes = Buffer.from(sealed, "base64");
  const [nonce, text, tag] = [
    bytes.subarray(0, nonceBytes),
    bytes.subarray(nonceBytes, -tagBytes),
    bytes.subarray(-tagBytes),
  ];
  try {
    const options = { authTagLength: tagBytes };
    const decipher = createDecipheriv("aes-256-gcm", sealingKey(serviceSecret), nonce, options)
      .setAAD(Buffer.from(tenantId))
      .setAuthTag(tag);
    return Buffer.concat([decipher.update(text), decipher.final()]).toString("utf8");
  } catch (cause) {
    throw new AppError(
      "INTERNAL",
      "A signing secret cannot be read: the service's secret has changed since.",
      {
        fix: "Start the service with its former secret, or rotate the endpoint's.",
        cause,
      },
    );
  }
}

export interface Sealing {
  readonly tenantId: string;
  readonly serviceSecret: string;
}

const nonceBytes = 12;
const tagBytes = 16;

function sealingKey(serviceSecret: string): Buffer {
  return Buffer.from(hkdfSync("sha256", serviceSecret, "", "vedere webhook secrets", 32));
}
