import type { Clock } from "../core/ports.ts";
import type { Delivery, WebhookEndpoint, WebhookEvent } from "../core/webhook.ts";
import type { Webhooks } from "../core/webhook-store.ts";
import type { Bell } from "./bell.ts";
import { cursorOf, placeBehind } from "./cursor.ts";
import { type Row, type Sqlite, text } from "./sqlite.ts";
import { appendEntry, changeAudited } from "./sqlite-audit.ts";

/** Webhooks in SQLite: the records as JSON, beside them the columns that are searched. */
export function sqliteWebhooks(sqlite: Sqlite, bell: Bell, clock: Clock): Webhooks {
  const insertDelivery = (delivery: Delivery) =>
    sqlite.run(
      `INSERT INTO webhook_deliveries (tenant_id, id, version, status, endpoint_id, run_id, created_at, due_at, data)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ...[
        delivery.tenantId,
        delivery.id,
        delivery.version,
        delivery.status,
        delivery.endpointId,
        runIdOf(delivery.event),
      ],
      ...[delivery.createdAt, delivery.nextAttemptAt, JSON.stringify(delivery)],
    );
  const due = (by: number, max: number) =>
    sqlite.all(
      "SELECT data FROM webhook_deliveries WHERE due_at <= ? ORDER BY due_at LIMIT ?",
      by,
      max,
    );

  return {
    async createEndpoint(endpoint, entry) {
      const { tenantId, id, version, createdAt } = endpoint;
      const insert = () =>
        sqlite.run(
          "INSERT INTO webhook_endpoints (tenant_id, id, version, created_at, data) VALUES (?, ?, ?, ?, ?)",
          ...[tenantId, id, version, createdAt, JSON.stringify(endpoint)],
        );
      changeAudited(sqlite, insert, entry);
    },
    async getEndpoint(tenantId, endpointId) {
      const row = sqlite.first(
        "SELECT data FROM webhook_endpoints WHERE tenant_id = ? AND id = ?",
        tenantId,
        endpointId,
      );
      return row && recordIn<WebhookEndpoint>(row);
    },
    async endpoints(tenantId) {
      const rows = sqlite.all(
        "SELECT data FROM webhook_endpoints WHERE tenant_id = ? ORDER BY created_at, id",
        tenantId,
      );
      return rows.map((row) => recordIn<WebhookEndpoint>(row));
    },
    async replaceEndpoint(endpoint, event, entry) {
      const { tenantId, id, version } = endpoint;
      const isReplaced = sqlite.write(() => {
        const changed = sqlite.run(
          "UPDATE webhook_endpoints SET version = ?, data = ? WHERE tenant_id = ? AND id = ? AND version = ?",
          ...[version, JSON.stringify(endpoint), tenantId, id, version - 1],
        );
        if (changed > 0 && event) putInOutbox(sqlite, event);
        if (changed > 0 && entry) appendEntry(sqlite, entry);
        return changed > 0;
      });
      if (isReplaced && event) bell.ring(webhooksTopic);
      return isReplaced;
    },
    async removeEndpoint(tenantId, endpointId, entry) {
      const sql = "DELETE FROM webhook_endpoints WHERE tenant_id = ? AND id = ?";
      const remove = () => sqlite.run(sql, tenantId, endpointId);
      return changeAudited(sqlite, remove, entry) > 0;
    },
    async outbox(max) {
      return sqlite
        .all("SELECT data FROM webhook_outbox ORDER BY at LIMIT ?", max)
        .map((row) => recordIn<WebhookEvent>(row));
    },
    async fanOut(event, deliveries) {
      return sqlite.write(() => {
        const isThere = sqlite.run("DELETE FROM webhook_outbox WHERE id = ?", event.id) > 0;
        if (isThere) for (const delivery of deliveries) insertDelivery(delivery);
        return isThere;
      });
    },
    async getDelivery(tenantId, deliveryId) {
      const row = sqlite.first(
        "SELECT data FROM webhook_deliveries WHERE tenant_id = ? AND id = ?",
        tenantId,
        deliveryId,
      );
      return row && recordIn<Delivery>(row);
    },
    async replaceDelivery(delivery) {
      const { tenantId, id, version, status, nextAttemptAt } = delivery;
      const isReplaced =
        sqlite.run(
          "UPDATE webhook_deliveries SET version = ?, status = ?, due_at = ?, data = ? WHERE tenant_id = ? AND id = ? AND version = ?",
          ...[version, status, nextAttemptAt, JSON.stringify(delivery), tenantId, id, version - 1],
        ) > 0;
      if (isReplaced && nextAttemptAt !== null && nextAttemptAt <= clock.now())
        bell.ring(webhooksTopic);
      return isReplaced;
    },
    async deliveries(tenantId, { first, after, endpointId, runId, status }) {
      const from = placeBehind(after);
      // Only the filters that are given stand in the statement, so that each set of them has its
      // index.
      const filters = Object.entries({ run_id: runId, endpoint_id: endpointId, status }).flatMap(
        ([column, value]) => (value === null ? [] : [{ column, value }]),
      );
      const rows = sqlite.all(
        `SELECT data FROM webhook_deliveries WHERE tenant_id = ?
         ${filters.map(({ column }) => `AND ${column} = ? `).join("")}AND (created_at, id) < (?, ?)
         ORDER BY created_at DESC, id DESC LIMIT ?`,
        ...[tenantId, ...filters.map(({ value }) => value), from.createdAt, from.id],
        first + 1, // one more shows if there is another
      );
      const deliveries = rows.slice(0, first).map((row) => recordIn<Delivery>(row));
      return { deliveries, hasNextPage: rows.length > first, cursorOf };
    },
    async due(by, max) {
      return due(by, max).map((row) => recordIn<Delivery>(row));
    },
    async wait(waitMs, signal) {
      const look = () =>
        sqlite.first("SELECT 1 FROM webhook_outbox LIMIT 1") ?? due(clock.now(), 1)[0] ?? null;
      await bell.wait(webhooksTopic, look, { waitMs, signal });
    },
  };
}

/** Rings whenever the outbox has got an event. */
export const webhooksTopic = "webhooks";

/** Within the transaction of what the event tells. */
export function putInOutbox(sqlite: Sqlite, event: WebhookEvent): void {
  const { id, tenantId, at } = event;
  sqlite.run(
    "INSERT INTO webhook_outbox (id, tenant_id, at, data) VALUES (?, ?, ?, ?)",
    id,
    tenantId,
    at,
    JSON.stringify(event),
  );
}

function runIdOf({ subject }: WebhookEvent): string | null {
  return "runId" in subject ? subject.runId : null;
}

/**
 * The record as this program wrote it; its shape is the business of the migrations, not of every
 * read.
 */
function recordIn<Stored>(row: Row): Stored {
  const stored: Stored = JSON.parse(text(row, "data"));
  return stored;
}
