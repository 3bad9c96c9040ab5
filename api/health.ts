import { setTimeout as pause } from "node:timers/promises";
import type { Ports } from "../core/ports.ts";
import type { Log } from "./context.ts";

/** Load balancers give up after a few seconds: a store that takes longer is as bad as none. */
const patienceMs = 2_000;

/** Whether the gateway can take runs: 200, or 503 with what does not answer in time. The reasons themselves go to the log only. */
export async function answerReadiness(
  { runs, queue }: Pick<Ports, "runs" | "queue">,
  log: Log,
): Promise<Response> {
  const checks = { store: () => runs.countUnfinished("readyz"), queue: () => queue.depth() }; // no tenant has this id
  const answers = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => {
      try {
        await inTime(check());
        return null;
      } catch (err) {
        log.error({ err }, `the ${name} does not answer`);
        return `The ${name} does not answer.`;
      }
    }),
  );
  const reasons = answers.filter((reason) => reason !== null);
  return Response.json(
    { ready: reasons.length === 0, reasons },
    { status: reasons.length === 0 ? 200 : 503 },
  );
}

async function inTime(answer: Promise<unknown>): Promise<void> {
  const late = new AbortController();
  const timeout = pause(patienceMs, undefined, { signal: late.signal }).then(() => {
    throw new Error(`There was no answer in ${patienceMs} ms.`);
  });
  try {
    await Promise.race([answer, timeout]);
  } finally {
    late.abort();
    timeout.catch(() => {}); // aborted, or told already
  }
}
