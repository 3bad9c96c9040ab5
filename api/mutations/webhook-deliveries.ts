import type { RequestContext } from "../context.ts";
import { userErrorsOf } from "../user-errors.ts";
import { recoverDeliveries, redeliver } from "../webhooks/recovery.ts";

type Redelivered = { readonly input: { readonly deliveryId: string } };
type Recovered = { readonly input: { readonly endpointId: string; readonly since: number } };

export async function webhookRedeliver(
  _root: unknown,
  { input }: Redelivered,
  context: RequestContext,
) {
  try {
    return { delivery: await redeliver(context, input.deliveryId), userErrors: [] };
  } catch (error) {
    return { delivery: null, userErrors: userErrorsOf(error, ["input"]) };
  }
}

export async function webhookRecover(
  _root: unknown,
  { input }: Recovered,
  context: RequestContext,
) {
  try {
    return { ...(await recoverDeliveries(context, input.endpointId, input.since)), userErrors: [] };
  } catch (error) {
    return { recovered: null, hasMore: null, userErrors: userErrorsOf(error, ["input"]) };
  }
}
