import type { GraphQLSchema } from "graphql";
import { reportLifetimeMs } from "../../core/model-status.ts";
import type { Ports } from "../../core/ports.ts";
import type { Run } from "../../core/run.ts";
import { noTenantLimits } from "../../core/tenant-limits.ts";
import type { WebhookEndpoint, WebhookEvent } from "../../core/webhook.ts";
import { signedHeaders, unseal } from "../../core/webhook-secret.ts";
import { type Log, once } from "../context.ts";
import { payloadOf } from "./payload.ts";
import type { PayloadContext } from "./payload-query.ts";
import type { WebhookRequest } from "./send.ts";

/** Where a message goes, and what it is signed with. */
export interface Target {
  readonly url: string;
  /** The newest first. */
  readonly secrets: readonly string[];
  readonly payloadQuery: string | null;
  /** Whether the thin payload shows the run's metadata. */
  readonly readsRuns: boolean;
}

/** An endpoint's, with the secrets that are valid now. `secret` is what they are sealed under. */
export function targetOf(
  endpoint: WebhookEndpoint,
  { secret, now }: { secret: string; now: number },
): Target {
  const { tenantId, url, payloadQuery } = endpoint;
  const valid = endpoint.secrets.filter(({ expiresAt }) => expiresAt === null || now < expiresAt);
  return {
    url,
    payloadQuery,
    readsRuns: endpoint.readsRuns ?? true,
    secrets: valid.map(({ sealed }) => unseal(sealed, { tenantId, serviceSecret: secret })),
  };
}

/** The exact request of one attempt: the same body each time, signed anew. */
export async function messageOf(
  {
    event,
    run,
    target,
  }: { readonly event: WebhookEvent; readonly run: Run | null; readonly target: Target },
  {
    ports,
    schema,
    log,
  }: { readonly ports: Ports; readonly schema: GraphQLSchema; readonly log: Log },
): Promise<WebhookRequest> {
  const context = payloadContext(ports, { event, log });
  const body = await payloadOf(event, { run, target, schema, context });
  const signed = signedHeaders({ id: event.id, at: ports.clock.now(), body }, target.secrets);
  return {
    url: target.url,
    body,
    headers: { "content-type": "application/json", "user-agent": "vedere", ...signed },
  };
}

/** A payload query may read what its tenant's keys may read of runs. */
function payloadContext(
  ports: Ports,
  { event, log }: { event: WebhookEvent; log: Log },
): PayloadContext {
  return {
    ports,
    log,
    caller: {
      tenantId: event.tenantId,
      keyId: "",
      session: null,
      scopes: ["RUNS_READ"],
      limits: noTenantLimits,
      expiresAt: null,
    },
    requestId: event.id,
    models: once((isFresh) => ports.models.list({ isFresh })),
    workerReports: once(() => ports.registry.reports(ports.clock.now() - reportLifetimeMs)),
  };
}
