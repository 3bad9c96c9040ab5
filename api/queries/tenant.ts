import type { RequestContext } from "../context.ts";

export async function tenant(_root: unknown, { id }: { id: string }, { ports }: RequestContext) {
  return ports.tenants.get(id);
}
