import type { RequestContext } from "../context.ts";

export async function node(
  _root: unknown,
  { id }: { id: string },
  { ports, caller }: RequestContext,
) {
  if (id.startsWith("run_")) return ports.runs.get(caller.tenantId, id);
  if (id.startsWith("img_")) return ports.images.get(caller.tenantId, id);
  return null;
}
