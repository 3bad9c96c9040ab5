import type { RequestContext } from "../context.ts";

export function models(_root: unknown, _args: unknown, context: RequestContext) {
  return context.models();
}
