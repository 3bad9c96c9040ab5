import { readFileSync } from "node:fs";
import { makeExecutableSchema } from "@graphql-tools/schema";
import type { GraphQLSchema } from "graphql";
import type { RequestContext } from "./context.ts";
import { requireExactArguments } from "./exact-arguments.ts";
import { apiKeyCreate } from "./mutations/api-key-create.ts";
import { apiKeyReroll } from "./mutations/api-key-reroll.ts";
import { apiKeyRevoke } from "./mutations/api-key-revoke.ts";
import { imageDelete } from "./mutations/image-delete.ts";
import { runCancel } from "./mutations/run-cancel.ts";
import { runCreate } from "./mutations/run-create.ts";
import { runDelete } from "./mutations/run-delete.ts";
import { runsCreate } from "./mutations/runs-create.ts";
import { tenantCreate } from "./mutations/tenant-create.ts";
import { tenantDelete } from "./mutations/tenant-delete.ts";
import { tenantDisable, tenantEnable } from "./mutations/tenant-disable.ts";
import { tenantExport } from "./mutations/tenant-export.ts";
import { tenantLimitsSet } from "./mutations/tenant-limits-set.ts";
import { uploadsCreate } from "./mutations/uploads-create.ts";
import { webhookRecover, webhookRedeliver } from "./mutations/webhook-deliveries.ts";
import {
  webhookEndpointCreate,
  webhookEndpointDelete,
  webhookEndpointDisable,
  webhookEndpointEnable,
  webhookEndpointUpdate,
  webhookSecretRotate,
} from "./mutations/webhook-endpoints.ts";
import { describeCosts } from "./operation-cost.ts";
import { auditLog } from "./queries/audit-log.ts";
import { imageBytes } from "./queries/image-bytes.ts";
import { models } from "./queries/models.ts";
import { node } from "./queries/node.ts";
import { run } from "./queries/run.ts";
import { runs } from "./queries/runs.ts";
import { tenant } from "./queries/tenant.ts";
import { tenants } from "./queries/tenants.ts";
import { usage } from "./queries/usage.ts";
import { viewer } from "./queries/viewer.ts";
import { webhookDeliveries, webhookDelivery } from "./queries/webhook-deliveries.ts";
import { webhookDryRun } from "./queries/webhook-dry-run.ts";
import { webhookEndpoint, webhookEndpoints } from "./queries/webhook-endpoints.ts";
import { scalars } from "./scalars.ts";
import { enforceScopes } from "./scopes.ts";
import { runProgress } from "./subscriptions/run-progress.ts";
import { Image } from "./types/image.ts";
import { Model } from "./types/model.ts";
import { Node } from "./types/node.ts";
import { Run } from "./types/run.ts";
import { RunTask } from "./types/run-task.ts";
import { TaskResult } from "./types/task-result.ts";
import { Tenant } from "./types/tenant.ts";
import { WebhookDelivery, WebhookEndpoint, WebhookEventType } from "./types/webhook.ts";

/**
 * The SDL with its resolvers; a resolver that the SDL does not name is an error. Works from the
 * sources and from dist/.
 */
export function buildGatewaySchema(): GraphQLSchema {
  const schema = makeExecutableSchema<RequestContext>({
    typeDefs: readFileSync(new URL("../schema/schema.graphql", import.meta.url), "utf8"),
    resolvers: {
      ...scalars,
      Query: {
        ...{ auditLog, imageBytes },
        ...{ viewer, node, run, runs, models, usage, tenant, tenants },
        ...{ webhookEndpoint, webhookEndpoints, webhookDelivery, webhookDeliveries, webhookDryRun },
      },
      Mutation: {
        ...{ runCreate, runsCreate, runCancel, runDelete, imageDelete, uploadsCreate },
        ...{ apiKeyCreate, apiKeyReroll, apiKeyRevoke },
        ...{ tenantCreate, tenantDelete, tenantDisable, tenantEnable, tenantLimitsSet },
        tenantExport,
        ...{
          webhookEndpointCreate,
          webhookEndpointUpdate,
          webhookEndpointDelete,
          webhookEndpointDisable,
          webhookEndpointEnable,
        },
        ...{ webhookSecretRotate, webhookRedeliver, webhookRecover },
      },
      Subscription: { runProgress },
      Image,
      Model,
      Node,
      Run,
      RunTask,
      TaskResult,
      Tenant,
      WebhookDelivery,
      WebhookEndpoint,
      WebhookEventType,
    },
    resolverValidationOptions: {
      requireResolversToMatchSchema: "error",
      requireResolversForResolveType: "error",
    },
  });
  return describeCosts(enforceScopes(requireExactArguments(schema)));
}
