import { revokeKey } from "../../core/api-keys.ts";
import type { RequestContext } from "../context.ts";
import { userErrorsOf } from "../user-errors.ts";

export async function apiKeyRevoke(
  _root: unknown,
  { input }: { input: { keyId: string } },
  { ports, caller }: RequestContext,
) {
  try {
    return { apiKey: await revokeKey(ports, caller, input.keyId), userErrors: [] };
  } catch (error) {
    return { apiKey: null, userErrors: userErrorsOf(error, ["input"]) };
  }
}
