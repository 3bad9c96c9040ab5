import { rerollKey } from "../../core/api-keys.ts";
import type { RequestContext } from "../context.ts";
import { keyPayload, keyPorts } from "../key-payload.ts";

interface Input {
  readonly keyId: string;
  readonly graceSeconds: number;
}

export async function apiKeyReroll(
  _root: unknown,
  { input }: { input: Input },
  context: RequestContext,
) {
  const { keyId, graceSeconds } = input;
  return keyPayload(() =>
    rerollKey(keyPorts(context), context.caller, { keyId, graceMs: graceSeconds * 1_000 }),
  );
}
