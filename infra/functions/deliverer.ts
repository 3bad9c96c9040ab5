import { lookup } from "node:dns";
import { buildGatewaySchema } from "../../api/schema.ts";
import { type Deliverer, openDeliverer } from "../../api/webhooks/deliverer.ts";
import { openSender } from "../../api/webhooks/send.ts";
import { limits } from "../../core/limits.ts";
import type { CloudConnection } from "./connect.ts";

export function cloudDeliverer({ config, ports, secret, log }: CloudConnection): Deliverer {
  const sender = openSender({
    allowPrivate: config.fetchPrivate,
    totalMs: limits.webhook.timeoutMs,
    lookup,
  });
  return openDeliverer({
    ports,
    schema: buildGatewaySchema(),
    sender,
    secret,
    log,
    random: Math.random,
  });
}
