import type { WebhookEndpoint } from "../../core/webhook.ts";
import type { RequestContext } from "../context.ts";
import { userErrorsOf } from "../user-errors.ts";
import {
  createEndpoint,
  deleteEndpoint,
  type EndpointInput,
  rotateSecret,
  setEndpointDisabled,
  updateEndpoint,
} from "../webhooks/endpoints.ts";

interface Named {
  readonly input: { readonly endpointId: string };
}
type Created = { readonly input: EndpointInput & { readonly secret?: string | null } };
type Updated = { readonly input: EndpointInput & { readonly endpointId: string } };
type Rotated = {
  readonly input: {
    readonly endpointId: string;
    readonly overlapSeconds: number;
    readonly secret?: string | null;
  };
};

export async function webhookEndpointCreate(
  _root: unknown,
  { input }: Created,
  context: RequestContext,
) {
  return secretPayload(() => createEndpoint(context, input));
}

export async function webhookEndpointUpdate(
  _root: unknown,
  { input }: Updated,
  context: RequestContext,
) {
  return payload(() => updateEndpoint(context, input.endpointId, input));
}

export async function webhookEndpointDisable(
  _root: unknown,
  { input }: Named,
  context: RequestContext,
) {
  return payload(() => setEndpointDisabled(context, input.endpointId, true));
}

export async function webhookEndpointEnable(
  _root: unknown,
  { input }: Named,
  context: RequestContext,
) {
  return payload(() => setEndpointDisabled(context, input.endpointId, false));
}

export async function webhookEndpointDelete(
  _root: unknown,
  { input: { endpointId } }: Named,
  context: RequestContext,
) {
  try {
    await deleteEndpoint(context, endpointId);
    return { endpointId, userErrors: [] };
  } catch (error) {
    return { endpointId: null, userErrors: userErrorsOf(error, ["input"]) };
  }
}

export async function webhookSecretRotate(
  _root: unknown,
  { input }: Rotated,
  context: RequestContext,
) {
  const { endpointId, overlapSeconds, secret = null } = input;
  return secretPayload(() =>
    rotateSecret(context, endpointId, { secret, overlapMs: overlapSeconds * 1_000 }),
  );
}

async function payload(change: () => Promise<WebhookEndpoint>) {
  try {
    return { endpoint: await change(), userErrors: [] };
  } catch (error) {
    return { endpoint: null, userErrors: userErrorsOf(error, ["input"]) };
  }
}

async function secretPayload(change: () => Promise<{ endpoint: WebhookEndpoint; secret: string }>) {
  try {
    return { ...(await change()), userErrors: [] };
  } catch (error) {
    return { endpoint: null, secret: null, userErrors: userErrorsOf(error, ["input"]) };
  }
}
