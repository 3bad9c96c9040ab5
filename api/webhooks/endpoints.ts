import {
  type AuditAction,
  type AuditDetails,
  type AuditEntry,
  auditEntry,
} from "../../core/audit.ts";
import { AppError } from "../../core/errors.ts";
import { limits } from "../../core/limits.ts";
import { randomBase62 } from "../../core/tenant.ts";
import { isHostAllowed, limitText } from "../../core/tenant-limits.ts";
import {
  healthy,
  type WebhookEndpoint,
  type WebhookEventType,
  type WebhookSecret,
  webhookEventTypes,
} from "../../core/webhook.ts";
import { disabled } from "../../core/webhook-schedule.ts";
import { mintWebhookSecret, seal, webhookSecretBytes } from "../../core/webhook-secret.ts";
import { authorOf } from "../author.ts";
import { checkedUrl } from "../checked-url.ts";
import type { RequestContext } from "../context.ts";
import { privateWay } from "../guarded-connector.ts";
import { throwFaults } from "../user-errors.ts";
import { requirePayloadQuery } from "./payload-query.ts";

/**
 * What a tenant decides about an endpoint; what is absent (or null, but for payloadQuery) stays as
 * it is.
 */
export interface EndpointInput {
  readonly url?: string | null;
  readonly description?: string | null;
  readonly events?: readonly WebhookEventType[] | null;
  readonly payloadQuery?: string | null;
}

/**
 * Makes an endpoint; `secret` is shown this once. Throws AppError INVALID, or an AggregateError of
 * them.
 */
export async function createEndpoint(
  context: RequestContext,
  input: EndpointInput & { secret?: string | null },
) {
  const { ports, caller } = context;
  const url = input.url ?? "";
  const { description, events, payloadQuery } = input;
  throwFaults([
    ...inputFaults(context, { ...input, url }),
    payloadQueryFault(context, input),
    secretFault(input.secret),
  ]);
  if ((await ports.webhooks.endpoints(caller.tenantId)).length >= limits.webhook.endpointsMax) {
    throw new AppError("INVALID", `There are ${limits.webhook.endpointsMax} endpoints already.`, {
      fix: "Delete one that is not used any more.",
    });
  }
  const now = ports.clock.now();
  const secret = input.secret ?? mintWebhookSecret();
  const endpoint: WebhookEndpoint = {
    id: `whe_${randomBase62(22)}`,
    tenantId: caller.tenantId,
    version: 1,
    url,
    description: description ?? "",
    events: events ? [...new Set(events)] : webhookEventTypes,
    payloadQuery: payloadQuery ?? null,
    readsRuns: mayReadRuns(context),
    secrets: [sealed(context, secret, now)],
    createdAt: now,
    disabledAt: null,
    disabledReason: null,
    health: healthy,
  };
  const details = {
    url: placeOf(url),
    events: endpoint.events,
    hasPayloadQuery: Boolean(payloadQuery),
  };
  await ports.webhooks.createEndpoint(
    endpoint,
    entryOf(context, "webhookEndpoint.create", { endpointId: endpoint.id, details }),
  );
  return { endpoint, secret };
}

/** Throws AppError NOT_FOUND, INVALID, or an AggregateError of them. */
export async function updateEndpoint(
  context: RequestContext,
  endpointId: string,
  input: EndpointInput,
): Promise<WebhookEndpoint> {
  throwFaults([...inputFaults(context, input), payloadQueryFault(context, input)]);
  const decidesPayload = typeof input.url === "string" || typeof input.payloadQuery === "string";
  const changed = Object.keys(input).filter((name) => name !== "endpointId");
  const details = { changed, ...(typeof input.url === "string" && { url: placeOf(input.url) }) };
  const noted = { endpointId, action: "webhookEndpoint.update", details } as const;
  return change(context, noted, (endpoint) => ({
    ...endpoint,
    readsRuns: decidesPayload ? requireReader(context, endpoint) : (endpoint.readsRuns ?? true),
    url: input.url ?? endpoint.url,
    description: input.description ?? endpoint.description,
    events: input.events ? [...new Set(input.events)] : endpoint.events,
    payloadQuery: input.payloadQuery === undefined ? endpoint.payloadQuery : input.payloadQuery,
  }));
}

/**
 * Gives an endpoint a new secret, shown this once. The former one signs as well for `overlapMs`;
 * one before that ends at once. Throws AppError NOT_FOUND, INVALID.
 */
export async function rotateSecret(
  context: RequestContext,
  endpointId: string,
  given: { secret?: string | null; overlapMs: number },
) {
  const { overlapMs } = given;
  const tooLong = new AppError(
    "INVALID",
    `The former secret lives on for 0 to ${limits.webhook.overlapMsMax / 1_000} seconds.`,
    {
      path: ["overlapSeconds"],
    },
  );
  throwFaults([
    secretFault(given.secret),
    overlapMs >= 0 && overlapMs <= limits.webhook.overlapMsMax ? null : tooLong,
  ]);
  const secret = given.secret ?? mintWebhookSecret();
  const noted = {
    endpointId,
    action: "webhookEndpoint.rotateSecret",
    details: { overlapMs },
  } as const;
  const endpoint = await change(context, noted, (before, now) => {
    const former = before.secrets
      .slice(0, 1)
      .map((each) => ({ ...each, expiresAt: now + overlapMs }));
    return { ...before, secrets: [sealed(context, secret, now), ...former] };
  });
  return { endpoint, secret };
}

/**
 * Stops or resumes an endpoint; deliveries that come to it meanwhile are held. Throws AppError
 * NOT_FOUND.
 */
export async function setEndpointDisabled(
  context: RequestContext,
  endpointId: string,
  isDisabled: boolean,
): Promise<WebhookEndpoint> {
  const action = isDisabled ? "webhookEndpoint.disable" : "webhookEndpoint.enable";
  return change(context, { endpointId, action, details: {} }, (endpoint, now) => {
    if (isDisabled)
      return endpoint.disabledAt === null ? disabled(endpoint, "By hand.", now) : endpoint;
    return { ...endpoint, disabledAt: null, disabledReason: null, health: healthy };
  });
}

/** Throws AppError NOT_FOUND. Deliveries on their way fail. */
export async function deleteEndpoint(context: RequestContext, endpointId: string): Promise<void> {
  const { ports, caller } = context;
  const entry = entryOf(context, "webhookEndpoint.delete", { endpointId, details: {} });
  if (!(await ports.webhooks.removeEndpoint(caller.tenantId, endpointId, entry)))
    throw noEndpoint();
}

export function noEndpoint(): AppError {
  return new AppError("NOT_FOUND", "There is no such endpoint.", { path: ["endpointId"] });
}

/**
 * A webhook's URL, secret and payload query, each wrong in its own place; `secret` undefined: it is
 * not asked for.
 */
export function inputFaults(context: RequestContext, input: EndpointInput): AppError[] {
  const { schema } = context;
  const { url, description, events, payloadQuery } = input;
  const fault = (path: string, message: string, fix: string) =>
    new AppError("INVALID", message, { path: [path], fix });
  return [
    typeof url === "string" ? caught(() => requireUrl(url, context)) : null,
    typeof payloadQuery === "string"
      ? caught(() => requirePayloadQuery(schema, payloadQuery))
      : null,
    description &&
    (description.length > limits.webhook.descriptionMax || /\p{Cc}/u.test(description))
      ? fault(
          "description",
          "The description is too long.",
          `Give at most ${limits.webhook.descriptionMax} characters on one line.`,
        )
      : null,
    events?.length === 0
      ? fault(
          "events",
          "The endpoint would hear of nothing.",
          "Name an event, or leave the list out to hear of all.",
        )
      : null,
  ].filter((each) => each !== null);
}

/** A payload query reads runs on behalf of the key that sets it, so that key needs RUNS_READ. */
export function payloadQueryFault(
  context: RequestContext,
  { payloadQuery }: Pick<EndpointInput, "payloadQuery">,
): AppError | null {
  if (typeof payloadQuery !== "string" || mayReadRuns(context)) return null;
  return new AppError("FORBIDDEN", "A payload query reads runs; this API key may not.", {
    path: ["payloadQuery"],
    fix: "Leave it out, or use a key with the scope RUNS_READ as well.",
  });
}

function mayReadRuns({ caller }: RequestContext): boolean {
  return caller.scopes.includes("RUNS_READ");
}

/**
 * Whether the endpoint shows runs once this caller has changed its URL or payload query. Throws
 * AppError FORBIDDEN where a key that reads no run would lead payloads that show runs to another
 * place.
 */
function requireReader(context: RequestContext, endpoint: WebhookEndpoint): boolean {
  const reads = mayReadRuns(context);
  if (reads || endpoint.readsRuns === false) return reads;
  throw new AppError("FORBIDDEN", "This endpoint's payloads show runs; this API key reads none.", {
    path: ["url"],
    fix: "Use a key with the scope RUNS_READ as well, or create another endpoint.",
  });
}

export function secretFault(secret: string | null | undefined): AppError | null {
  return typeof secret === "string" ? caught(() => void webhookSecretBytes(secret)) : null;
}

function requireUrl(url: string, { fetch, work }: Pick<RequestContext, "fetch" | "work">): void {
  const options = {
    path: ["url"],
    fix: "Give an https URL of a public host, on port 443 or 8443.",
  };
  if (url.length > limits.webhook.urlMax)
    throw new AppError(
      "INVALID",
      `The URL has more than ${limits.webhook.urlMax} characters.`,
      options,
    );
  try {
    checkedUrl(url, fetch);
  } catch (error) {
    throw new AppError(
      "INVALID",
      error instanceof AppError ? error.message : "The URL cannot be used.",
      { ...options, fix: `${options.fix} ${privateWay}`, cause: error },
    );
  }
  if (isHostAllowed(work.webhookHosts, url)) return;
  const hosts = work.webhookHosts?.join(", ") || "(none is allowed)";
  throw new AppError("INVALID", `The host is not among ${limitText(work, "webhookHosts")}.`, {
    ...options,
    fix: `Use one of these hosts: ${hosts}; or ask the operator for more.`,
  });
}

function caught(check: () => void): AppError | null {
  try {
    check();
    return null;
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
}

function sealed({ caller, pepper }: RequestContext, secret: string, now: number): WebhookSecret {
  return {
    sealed: seal(secret, { tenantId: caller.tenantId, serviceSecret: pepper }),
    createdAt: now,
    expiresAt: null,
  };
}

/**
 * Deliverers note an endpoint's health at the same time: the change is made anew on what it then
 * is.
 */
async function change(
  context: RequestContext,
  noted: { endpointId: string; action: AuditAction; details: AuditDetails },
  changed: (endpoint: WebhookEndpoint, now: number) => WebhookEndpoint,
): Promise<WebhookEndpoint> {
  const { ports, caller } = context;
  const { endpointId, action, details } = noted;
  for (;;) {
    const endpoint = await ports.webhooks.getEndpoint(caller.tenantId, endpointId);
    if (!endpoint) throw noEndpoint();
    const next = { ...changed(endpoint, ports.clock.now()), version: endpoint.version + 1 };
    const entry = entryOf(context, action, { endpointId, details });
    if (await ports.webhooks.replaceEndpoint(next, null, entry)) return next;
  }
}

/** The entry of a change of one of the caller's endpoints. */
export function entryOf(
  context: RequestContext,
  action: AuditAction,
  { endpointId: id, details }: { endpointId: string; details: AuditDetails },
): AuditEntry {
  const { ports, caller } = context;
  const subject = { type: "WebhookEndpoint", id, tenantId: caller.tenantId };
  return auditEntry({ clock: ports.clock, by: authorOf(context) }, action, { subject, details });
}

/** A URL without its query, in which secrets may stand. */
function placeOf(url: string): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`;
}
