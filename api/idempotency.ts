import { createHash } from "node:crypto";
import type { RunCreateInput } from "./run-input.ts";

/**
 * sha256 of what a run asks for, however its JSON was ordered: the key itself and how long the caller waits are not part of it, and bytes
 * sent inline count by their own sha256.
 */
export function hashInput({ idempotencyKey, waitMs, ...asked }: RunCreateInput): string {
  const { base64 } = asked.source;
  const source =
    typeof base64 === "string" ? { base64: sha256(Buffer.from(base64, "base64")) } : asked.source;
  return sha256(canonicalJson({ ...asked, source }));
}

function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

/** JSON with the keys of every object sorted; an absent field and null are the same. */
function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join()}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value ?? null);
  const entries = Object.entries(value).filter(
    ([, inner]) => inner !== undefined && inner !== null,
  );
  return `{${entries
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, inner]) => `${JSON.stringify(name)}:${canonicalJson(inner)}`)
    .join()}}`;
}
