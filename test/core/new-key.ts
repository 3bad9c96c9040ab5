import { type KeyGrant, tenantScopes } from "../../core/tenant.ts";

/** A grant of all that a tenant may need, unless a part of it is replaced. */
export function grantOf(tenantId: string, parts: Partial<KeyGrant> = {}): KeyGrant {
  return { tenantId, name: "test", scopes: tenantScopes, expiresAt: null, ...parts };
}
