import { createHash } from "node:crypto";
import type { RunCreateInput } from "./run-input.ts";
import { base64InTurns, sha256InTurns } from "./turns.ts";

/**
 * sha256 of what a run asks for, however its JSON was ordered: the key itself and how long the
 * caller waits are not part of it, and bytes sent inline count by their own sha256.
 */
export async function hashInput({
  idempotencyKey,
  waitMs,
  keep,
  ...asked
}: RunCreateInput): Promise<string> {
  const { base64 } = asked.source;
  const bytes = typeof base64 === "string" ? await base64InTurns(base64) : null;
  const source = bytes ? { base64: await sha256InTurns(bytes) } : asked.source;
  return sha256(
    canonicalJson({ ...asked, source, ...(keep === "NONE" && { keep }) }, { isData: false }),
  );
}

function sha256(data: string): string {
  return createHash("sha256").update(data).digest("hex");
}

/**
 * JSON with the keys of every object sorted. Within the metadata, which are the caller's own data,
 * everything counts; elsewhere an absent field and null are the same. Recurses: `boundFaults` has
 * bounded the depth.
 */
function canonicalJson(value: unknown, { isData }: { isData: boolean }): string {
  if (Array.isArray(value))
    return `[${value.map((inner) => canonicalJson(inner, { isData })).join()}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value ?? null);
  const entries = Object.entries(value).filter(
    ([, inner]) => isData || (inner !== undefined && inner !== null),
  );
  return `{${entries
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, inner]) => {
      const json = canonicalJson(inner, { isData: isData || name === "metadata" });
      return `${JSON.stringify(name)}:${json}`;
    })
    .join()}}`;
}
