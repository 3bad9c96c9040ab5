import type { Ports } from "../core/ports.ts";
import type { Log } from "./context.ts";

/** Whether the gateway can take runs: 200, or 503 with what does not answer. The reasons themselves go to the log only. */
export async function answerReadiness({ runs, queue }: Pick<Ports, "runs" | "queue">, log: Log): Promise<Response> {
  const checks = { store: () => runs.countUnfinished("readyz"), queue: () => queue.depth() }; // no tenant has this id
  const reasons: string[] = [];
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
    } catch (err) {
      log.error({ err }, `the ${name} does not answer`);
      reasons.push(`The ${name} does not answer.`);
    }
  }
  return Response.json({ ready: reasons.length === 0, reasons }, { status: reasons.length === 0 ? 200 : 503 });
}
