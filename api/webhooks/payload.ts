import type { GraphQLSchema } from "graphql";
import { asAppError } from "../../core/errors.ts";
import { limits } from "../../core/limits.ts";
import type { Run } from "../../core/run.ts";
import type { WebhookEvent } from "../../core/webhook.ts";
import { type PayloadContext, runPayloadQuery } from "./payload-query.ts";

/**
 * The body of an event's deliveries, as Standard Webhooks has it: `{type, timestamp, data}`. It is
 * the same at every attempt. A payload query that does not fit any more, or gives too much, is
 * answered by the thin payload and a `payloadError` that says so.
 */
export async function payloadOf(
  event: WebhookEvent,
  given: {
    readonly run: Run | null;
    readonly target: { readonly payloadQuery: string | null; readonly readsRuns: boolean };
    readonly schema: GraphQLSchema;
    readonly context: PayloadContext;
  },
): Promise<string> {
  const { run, schema, context } = given;
  const { payloadQuery, readsRuns } = given.target;
  const bodyOf = (data: object) =>
    JSON.stringify({ type: event.type, timestamp: new Date(event.at).toISOString(), data });
  if (!("runId" in event.subject))
    return bodyOf({
      endpoint: { id: event.subject.endpointId, url: event.subject.url },
      reason: event.subject.reason,
    });
  const thin = {
    id: event.subject.runId,
    status: run?.status ?? null,
    metadata: readsRuns ? (run?.metadata ?? null) : null,
  };
  if (payloadQuery === null || !run) return bodyOf({ run: thin });
  try {
    const body = bodyOf({
      run: await runPayloadQuery(schema, payloadQuery, { runId: run.id, context }),
    });
    const size = Buffer.byteLength(body);
    if (size <= limits.webhook.payloadBytesMax) return body;
    return bodyOf({
      run: thin,
      payloadError: `The payload would have ${size} bytes; ${limits.webhook.payloadBytesMax} are sent. Read the run by its id.`,
    });
  } catch (error) {
    const known = asAppError(error);
    if (known.code !== "INVALID") throw error;
    return bodyOf({ run: thin, payloadError: known.message });
  }
}
