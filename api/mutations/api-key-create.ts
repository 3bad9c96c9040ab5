import { createKey } from "../../core/api-keys.ts";
import { type Scope, tenantScopes } from "../../core/tenant.ts";
import type { RequestContext } from "../context.ts";
import { keyPayload, keyPorts } from "../key-payload.ts";

interface Input {
  readonly name: string;
  readonly scopes?: readonly Scope[] | null;
  readonly expiresAt?: number | null;
  readonly tenantId?: string | null;
}

export async function apiKeyCreate(
  _root: unknown,
  { input }: { input: Input },
  context: RequestContext,
) {
  const { caller } = context;
  const { name, expiresAt = null, tenantId } = input;
  const ownScopes = tenantScopes.filter(
    (scope) => caller.scopes.includes(scope) || caller.scopes.includes("OPERATOR"),
  );
  const grant = {
    name,
    expiresAt,
    tenantId: tenantId ?? caller.tenantId,
    scopes: input.scopes ?? ownScopes,
  };
  return keyPayload(() => createKey(keyPorts(context), caller, grant));
}
