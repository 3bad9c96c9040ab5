import { AppError } from "../../core/errors.ts";
import type { RequestContext } from "../context.ts";

export interface Span {
  readonly from: number;
  readonly to: number;
}

export async function usage(_root: unknown, span: Span, context: RequestContext) {
  return usageOf(context.caller.tenantId, span, context);
}

/** Throws AppError INVALID for a span that ends before it begins. */
export async function usageOf(tenantId: string, { from, to }: Span, { ports }: RequestContext) {
  if (from <= to) return ports.runs.usage(tenantId, { from, to });
  throw new AppError("INVALID", `"from" is later than "to".`, { fix: "Swap them." });
}
