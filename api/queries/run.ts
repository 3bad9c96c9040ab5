import type { RequestContext } from "../context.ts";

export function run(_root: unknown, { id }: { id: string }, { ports, caller }: RequestContext) {
  return ports.runs.get(caller.tenantId, id);
}
