import { AppError } from "../../core/errors.ts";
import type { RunWebhook } from "../../core/run-webhook.ts";
import { seal } from "../../core/webhook-secret.ts";
import type { RequestContext } from "../context.ts";
import { inputFaults, payloadQueryFault, secretFault } from "./endpoints.ts";

/** The SDL's RunWebhookInput. */
export interface RunWebhookInput {
  readonly url: string;
  readonly secret: string;
  readonly payloadQuery?: string | null;
}

/** What is wrong with the webhook of a run, in its place of the run's input. */
export function runWebhookFaults(
  context: RequestContext,
  webhook: RunWebhookInput | null | undefined,
): AppError[] {
  if (!webhook) return [];
  const faults = [
    ...inputFaults(context, webhook),
    payloadQueryFault(context, webhook),
    secretFault(webhook.secret),
  ].filter((fault) => fault !== null);
  return faults.map(
    ({ code, message, fix, inputPath, cause }) =>
      new AppError(code, message, {
        path: ["webhook", ...inputPath],
        ...(fix !== null && { fix }),
        cause,
      }),
  );
}

/** As the run keeps it, without its secret in the clear. */
export function runWebhookOf(
  { caller, pepper }: RequestContext,
  webhook: RunWebhookInput | null | undefined,
): RunWebhook | null {
  if (!webhook) return null;
  const sealedSecret = seal(webhook.secret, { tenantId: caller.tenantId, serviceSecret: pepper });
  return { url: webhook.url, sealedSecret, payloadQuery: webhook.payloadQuery ?? null };
}
