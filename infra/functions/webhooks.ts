import type { Context, SQSBatchResponse, SQSEvent } from "aws-lambda";
import type { Deliverer } from "../../api/webhooks/deliverer.ts";
import { type CloudConnection, connectCloud } from "./connect.ts";
import { cloudDeliverer } from "./deliverer.ts";

/** An attempt may take 15 seconds, and what was begun is finished. */
const reserveMs = 25_000;

let opening: Promise<{ connection: CloudConnection; deliverer: Deliverer }> | null = null;

/**
 * Delivers whatever is due, woken by a message that says nothing else. Where that fails, all
 * messages of the batch come again; what is to be delivered stands in the table, so a message that
 * is lost for good loses nothing: the sweeper looks every minute.
 */
export async function handler(event: SQSEvent, context: Context): Promise<SQSBatchResponse> {
  try {
    const { deliverer } = await open();
    await deliverer.drain(
      AbortSignal.timeout(Math.max(0, context.getRemainingTimeInMillis() - reserveMs)),
    );
    return { batchItemFailures: [] };
  } catch (err) {
    process.stderr.write(
      `${JSON.stringify({ level: "error", msg: "webhooks could not be delivered", err: String(err) })}\n`,
    );
    return {
      batchItemFailures: event.Records.map(({ messageId }) => ({ itemIdentifier: messageId })),
    };
  }
}

function open() {
  opening ??= connectCloud().then((connection) => ({
    connection,
    deliverer: cloudDeliverer(connection),
  }));
  opening.catch(() => {
    opening = null; // the next batch tries again
  });
  return opening;
}
