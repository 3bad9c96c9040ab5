import { InvokeCommand, LambdaClient } from "@aws-sdk/client-lambda";
import { readFleet } from "../../adapters/config.ts";
import type { Log } from "../../api/context.ts";

/** The scaler runs every minute anyway; between two kicks of one instance lies at least this. */
const everyMs = 10_000;

/**
 * Starts the scaler after a run was sent, so that a fleet at zero need not wait for the next
 * minute. Never throws.
 */
export function openKick(log: Log): () => Promise<void> {
  const { scaler } = readFleet();
  if (scaler === null) return async () => {};
  const client = new LambdaClient({});
  let kickedAt = Number.NEGATIVE_INFINITY;
  return async () => {
    if (performance.now() - kickedAt < everyMs) return;
    kickedAt = performance.now();
    try {
      await client.send(new InvokeCommand({ FunctionName: scaler, InvocationType: "Event" }));
    } catch (err) {
      log.error({ err }, "the scaler could not be started; it runs every minute anyway");
    }
  };
}
