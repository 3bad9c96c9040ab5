import { randomUUID } from "node:crypto";
import type { Clock, Lease, Queue } from "../core/ports.ts";
import type { Bell } from "./bell.ts";
import { integer, type Sqlite, text } from "./sqlite.ts";

/**
 * A queue in SQLite. A message is in flight while its `visible_at` lies ahead; a lease is that time
 * and the receipt of its delivery.
 */
export function sqliteQueue(sqlite: Sqlite, bell: Bell, clock: Clock): Queue {
  /**
   * Another process's claim waits for the write lock of this one; where nothing is visible, nobody
   * waits.
   */
  const claim = (max: number, leaseMs: number, except: readonly string[]): Lease[] => {
    const now = clock.now();
    if (!sqlite.first(`${nextInTurn} SELECT id FROM next`, now, JSON.stringify(except))) return [];
    return sqlite.write(() => {
      const leases: Lease[] = [];
      while (leases.length < max) {
        const lease = claimNext(sqlite, { now, leaseMs, except });
        if (!lease) break;
        leases.push(lease);
      }
      return leases;
    });
  };

  return {
    async send(message) {
      const now = clock.now();
      sqlite.run(
        "INSERT INTO messages (tenant_id, run_id, sent_at, visible_at) VALUES (?1, ?2, ?3, ?3)",
        message.tenantId,
        message.runId,
        now,
      );
      bell.ring(topic);
    },
    async receive({ max, waitMs, leaseMs, except = [], signal }) {
      const look = () => {
        const leases = claim(max, leaseMs, except);
        return leases.length > 0 ? leases : null;
      };
      return (await bell.wait(topic, look, { waitMs, signal })) ?? [];
    },
    async extend(lease, leaseMs) {
      const now = clock.now();
      return (
        sqlite.run(
          `UPDATE messages SET visible_at = ?3 WHERE ${held}`,
          lease.receipt,
          now,
          now + leaseMs,
        ) > 0
      );
    },
    async remove(lease) {
      sqlite.run(`DELETE FROM messages WHERE ${held}`, lease.receipt, clock.now());
    },
    async release(lease, delayMs) {
      const now = clock.now();
      sqlite.run(
        `UPDATE messages SET visible_at = ?3, receipt = NULL WHERE ${held}`,
        lease.receipt,
        now,
        now + delayMs,
      );
      bell.ring(topic);
    },
    async bury(lease, reason) {
      const now = clock.now();
      sqlite.write(() => {
        sqlite.run(
          `INSERT INTO dead_letters (id, tenant_id, run_id, sent_at, receive_count, reason, buried_at)
           SELECT id, tenant_id, run_id, sent_at, receive_count, ?3, ?2 FROM messages WHERE ${held}`,
          lease.receipt,
          now,
          reason,
        );
        sqlite.run(`DELETE FROM messages WHERE ${held}`, lease.receipt, now);
      });
    },
    async depth() {
      const now = clock.now();
      const row = sqlite.first(
        `SELECT count(*) FILTER (WHERE visible_at <= ?1) AS visible, count(*) FILTER (WHERE visible_at > ?1) AS in_flight,
         coalesce(min(sent_at), ?1) AS oldest_at, (SELECT count(*) FROM dead_letters) AS dead FROM messages`,
        now,
      );
      if (!row) throw new Error("An aggregate gave no row.");
      return {
        visible: integer(row, "visible"),
        inFlight: integer(row, "in_flight"),
        dead: integer(row, "dead"),
        oldestAgeMs: Math.max(0, now - integer(row, "oldest_at")),
      };
    },
  };
}

const topic = "queue";

/** Whether the delivery with receipt ?1 still holds its message at the time ?2. */
const held = "receipt = ?1 AND visible_at > ?2";

/**
 * The message that comes next at the time ?1: of the tenant with the fewest in flight, and among
 * equals the one that waits longest; of none of the tenants in ?2, a JSON array. The recursion
 * steps from tenant to tenant in the index: the cost grows with the tenants that have messages, not
 * with the messages.
 */
const nextInTurn = `
  WITH RECURSIVE tenant (id) AS (
    SELECT min(tenant_id) FROM messages
    UNION ALL
    SELECT (SELECT min(tenant_id) FROM messages WHERE tenant_id > tenant.id) FROM tenant WHERE tenant.id IS NOT NULL
  ), next AS (
    SELECT message.id FROM tenant JOIN messages AS message ON message.id =
      (SELECT id FROM messages WHERE tenant_id = tenant.id AND visible_at <= ?1 ORDER BY visible_at, id LIMIT 1)
    WHERE tenant.id NOT IN (SELECT value FROM json_each(?2))
    ORDER BY (SELECT count(*) FROM messages WHERE tenant_id = tenant.id AND visible_at > ?1), message.visible_at, message.id
    LIMIT 1
  )`;

/** Claims one message. Each claim counts at once, so several in a row go round the tenants. */
function claimNext(
  sqlite: Sqlite,
  { now, leaseMs, except }: { now: number; leaseMs: number; except: readonly string[] },
): Lease | null {
  const receipt = randomUUID();
  const row = sqlite.first(
    `${nextInTurn}
     UPDATE messages SET visible_at = ?3, receipt = ?4, receive_count = receive_count + 1
     WHERE id = (SELECT id FROM next)
     RETURNING tenant_id, run_id, receive_count`,
    now,
    JSON.stringify(except),
    now + leaseMs,
    receipt,
  );
  return (
    row && {
      message: { version: 1, tenantId: text(row, "tenant_id"), runId: text(row, "run_id") },
      receipt,
      receiveCount: integer(row, "receive_count"),
    }
  );
}
