import { AppError } from "../../core/errors.ts";
import { eventOf } from "../../core/webhook.ts";
import type { RequestContext } from "../context.ts";
import { messageOf, targetOf } from "../webhooks/message.ts";

/** Throws AppError INVALID where the run has not finished. */
export async function webhookDryRun(
  _root: unknown,
  args: { endpointId: string; runId: string },
  context: RequestContext,
) {
  const { ports, caller, pepper: secret } = context;
  const endpoint = await ports.webhooks.getEndpoint(caller.tenantId, args.endpointId);
  const run = endpoint && (await ports.runs.get(caller.tenantId, args.runId));
  if (!run) return null;
  const event = eventOf(run);
  if (!event)
    throw new AppError("INVALID", "The run has not finished.", {
      fix: "Wait for its end, or name another run.",
    });
  const { url, body, headers } = await messageOf(
    { event, run, target: targetOf(endpoint, { secret, now: ports.clock.now() }) },
    context,
  );
  return { url, body, headers: Object.entries(headers).map(([name, value]) => ({ name, value })) };
}
