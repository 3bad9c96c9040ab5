import type { Author } from "../core/audit.ts";
import type { RequestContext } from "./context.ts";

/** Who a request's changes are written down as. */
export function authorOf({
  caller,
  address,
  requestId,
}: Pick<RequestContext, "caller" | "address" | "requestId">): Author {
  return { kind: "KEY", keyId: caller.keyId, tenantId: caller.tenantId, address, requestId };
}

/** What a change of tenants and keys needs of a request. */
export function auditedPorts(context: RequestContext) {
  const { tenants, clock } = context.ports;
  return { tenants, clock, by: authorOf(context) };
}
