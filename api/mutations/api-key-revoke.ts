import { revokeKey } from "../../core/api-keys.ts";
import { auditedPorts } from "../author.ts";
import type { RequestContext } from "../context.ts";
import { userErrorsOf } from "../user-errors.ts";

export async function apiKeyRevoke(
  _root: unknown,
  { input }: { input: { keyId: string } },
  context: RequestContext,
) {
  try {
    return {
      apiKey: await revokeKey(auditedPorts(context), context.caller, input.keyId),
      userErrors: [],
    };
  } catch (error) {
    return { apiKey: null, userErrors: userErrorsOf(error, ["input"]) };
  }
}
