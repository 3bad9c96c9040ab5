import type { RunMessage } from "../../core/run.ts";

/**
 * A message as it travels in the body. The tenant is in it, because not every reader of a queue is
 * told the MessageGroupId.
 */
export function bodyOf({ version, tenantId, runId }: RunMessage): string {
  return JSON.stringify({ version, tenantId, runId });
}

/**
 * The message in a body; null where the body is something else or of a version that this code does
 * not know.
 */
export function messageIn(body: string): RunMessage | null {
  const parsed = parse(body);
  if (typeof parsed !== "object" || parsed === null) return null;
  if (!("version" in parsed) || !("tenantId" in parsed) || !("runId" in parsed)) return null;
  const { version, tenantId, runId } = parsed;
  return version === 1 && typeof tenantId === "string" && typeof runId === "string"
    ? { version, tenantId, runId }
    : null;
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
