import { lookup } from "node:dns";
import type { Config } from "../adapters/config.ts";
import type { Connection } from "../adapters/connect.ts";
import type { Log } from "../api/context.ts";
import { buildGatewaySchema } from "../api/schema.ts";
import type { AttemptTools } from "../api/webhooks/attempt.ts";
import { openDeliverer } from "../api/webhooks/deliverer.ts";
import { openSender } from "../api/webhooks/send.ts";
import { limits } from "../core/limits.ts";
import type { Tracing } from "../core/tracing.ts";

/** Delivers webhooks until `signal` aborts; attempts in progress are finished. */
export async function deliver(
  config: Config,
  ports: Connection,
  {
    signal,
    log,
    tracing,
    onAttempt,
    onRound,
  }: {
    signal: AbortSignal;
    log: Log;
    tracing: Tracing;
    onAttempt?: AttemptTools["onAttempt"];
    /** Runs before each round of the deliverer. */
    onRound?: () => void;
  },
): Promise<void> {
  const sender = openSender({
    allowPrivate: config.fetchPrivate,
    totalMs: limits.webhook.timeoutMs,
    lookup,
  });
  const { secret } = ports;
  try {
    await openDeliverer({
      ports,
      schema: buildGatewaySchema(),
      sender,
      secret,
      log,
      random: Math.random,
      tracing,
      onAttempt,
    }).run(signal, onRound);
  } finally {
    await sender.close();
  }
}
