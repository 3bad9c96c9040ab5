import type { AuditedPorts, KeyPorts, NewKey } from "../core/api-keys.ts";
import { auditedPorts } from "./author.ts";
import type { RequestContext } from "./context.ts";
import { userErrorsOf } from "./user-errors.ts";

export function keyPorts(context: RequestContext): KeyPorts & AuditedPorts {
  return { ...auditedPorts(context), pepper: context.pepper };
}

/** The SDL's ApiKeyPayload of a key that `make` makes. */
export async function keyPayload(make: () => Promise<NewKey>) {
  try {
    const { key, text } = await make();
    return { apiKey: key, secret: text, userErrors: [] };
  } catch (error) {
    return { apiKey: null, secret: null, userErrors: userErrorsOf(error, ["input"]) };
  }
}
