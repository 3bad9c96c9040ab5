import { copyFileSync, linkSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { databaseIn } from "../../adapters/embedded.ts";
import { integer, openSqlite, type Row, type Sqlite, text } from "../../adapters/sqlite.ts";
import type { Seed } from "./seed.ts";

/** A copied run and what hangs on it, as the operations need it. */
export interface StoredRun {
  readonly id: string;
  readonly imageId: string;
  readonly deliveryId: string;
  readonly auditId: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

const historyMs = 90 * 86_400_000;
/** One of so many runs was canceled, and one of so many left a dead letter. */
const canceledEach = 20;
const deadEach = 100;
/** Deliveries that were given up at the failing endpoint, whatever the number of runs. */
export const failedDeliveries = 20;

/**
 * Fills a data folder up to `count` finished runs: copies of the seed's, over the last 90 days, six
 * of ten the measured tenant's and the others its neighbors', each with its image, charges,
 * delivery and an entry of the audit log. The tables' own triggers add up the charges. Some of the
 * measured tenant's, in random order.
 */
export function copyRuns(dataDir: string, seed: Seed, count: number): StoredRun[] {
  const sqlite = openSqlite(databaseIn(dataDir));
  sqlite.run("PRAGMA synchronous = OFF"); // nobody needs this folder after a power loss
  const now = Date.now();
  sqlite.run(
    `CREATE TEMP TABLE copies (
       n INTEGER PRIMARY KEY, tenant_id TEXT, run_id TEXT, image_id TEXT, delivery_id TEXT, audit_id TEXT, at INTEGER
     )`,
  );
  sqlite.run(
    `WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < ?1)
     INSERT INTO copies SELECT n,
       iif(n % 10 < 6, ?2, json_extract(?3, '$[' || (n % 10 - 6) || ']')),
       'run_' || ${anyId}, 'img_' || ${anyId}, 'whd_' || ${anyId}, 'aud_' || ${anyId}, CAST(?4 + n * (?5 / ?1) AS INTEGER)
     FROM counted`,
    ...[Math.max(0, count - 1), seed.tenantId, JSON.stringify(seed.otherTenants)],
    ...[now - historyMs, historyMs - 60_000],
  );
  sqlite.write(() => {
    for (const sql of copying) sqlite.run(sql, seed.runId, seed.deliveryId);
    addFailed(sqlite, seed);
  });
  linkImages(sqlite, dataDir, seed);
  const stored = sqlite.all(
    "SELECT * FROM copies WHERE tenant_id = ? AND n % ? <> 0 ORDER BY random() LIMIT 500",
    seed.tenantId,
    canceledEach,
  );
  sqlite.first("PRAGMA wal_checkpoint(TRUNCATE)");
  sqlite.close();
  return stored.map(storedRun);
}

const anyId = "substr(lower(hex(randomblob(11))), 1, 22)";

/**
 * ?1 is the run that is copied, ?2 its delivery; SQLite allows a statement to use neither or one.
 */
const copying = [
  `INSERT INTO images (tenant_id, id, data)
   SELECT c.tenant_id, c.image_id, json_set(i.data, '$.id', c.image_id)
   FROM copies AS c, runs AS r JOIN images AS i ON i.tenant_id = r.tenant_id AND i.id = json_extract(r.data, '$.image.id')
   WHERE r.id = ?1 AND ?2 <> ''`,
  `INSERT INTO charges (tenant_id, run_id, task, name, at, encodings, tokens, cost)
   SELECT c.tenant_id, c.run_id, o.task, o.name, c.at, o.encodings, o.tokens, o.cost
   FROM copies AS c, charges AS o WHERE o.run_id = ?1 AND ?2 <> '' AND c.n % ${canceledEach} <> 0`,
  `INSERT INTO runs (tenant_id, id, version, status, created_at, expires_at, data)
   SELECT c.tenant_id, c.run_id, r.version, iif(c.n % ${canceledEach}, r.status, 'CANCELED'), c.at, c.at + 3600000,
     json_set(r.data, '$.id', c.run_id, '$.tenantId', c.tenant_id, '$.image.id', c.image_id, '$.createdAt', c.at,
       '$.startedAt', c.at, '$.finishedAt', c.at, '$.expiresAt', c.at + 3600000,
       '$.status', iif(c.n % ${canceledEach}, r.status, 'CANCELED'))
   FROM copies AS c, runs AS r WHERE r.id = ?1 AND ?2 <> ''`,
  `INSERT INTO webhook_deliveries (tenant_id, id, version, status, endpoint_id, run_id, created_at, due_at, data)
   SELECT c.tenant_id, c.delivery_id, d.version, d.status, d.endpoint_id, c.run_id, c.at, NULL,
     json_set(d.data, '$.id', c.delivery_id, '$.tenantId', c.tenant_id, '$.createdAt', c.at,
       '$.event.id', 'evt_' || substr(c.run_id, 5), '$.event.tenantId', c.tenant_id, '$.event.at', c.at,
       '$.event.subject.runId', c.run_id)
   FROM copies AS c, webhook_deliveries AS d WHERE d.id = ?2 AND ?1 <> ''`,
  `INSERT INTO audit_log (at, id, tenant_id, key_id, action, subject_id, data)
   SELECT c.at, c.audit_id, c.tenant_id, a.key_id, a.action, a.subject_id,
     json_set(a.data, '$.id', c.audit_id, '$.at', c.at, '$.subject.tenantId', c.tenant_id)
   FROM copies AS c, (SELECT * FROM audit_log ORDER BY at, id LIMIT 1) AS a WHERE ?1 <> ?2`,
  `INSERT INTO dead_letters (tenant_id, run_id, sent_at, receive_count, reason, buried_at)
   SELECT tenant_id, run_id, at, 3, 'ATTEMPTS_EXHAUSTED', at FROM copies WHERE n % ${deadEach} = 0 AND ?1 <> ?2`,
];

function addFailed(sqlite: Sqlite, { deliveryId, failingEndpointId }: Seed): void {
  sqlite.run(
    `WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < ?1)
     INSERT INTO webhook_deliveries (tenant_id, id, version, status, endpoint_id, run_id, created_at, due_at, data)
     SELECT d.tenant_id, 'whd_failed' || n, d.version, 'FAILED', ?2, d.run_id, d.created_at, NULL,
       json_set(d.data, '$.id', 'whd_failed' || n, '$.endpointId', ?2, '$.status', 'FAILED')
     FROM counted, webhook_deliveries AS d WHERE d.id = ?3`,
    ...[failedDeliveries, failingEndpointId, deliveryId],
  );
}

/**
 * Each image has its file; of a tenant they are names of one, as far as the file system lets one
 * have names.
 */
function linkImages(sqlite: Sqlite, dataDir: string, seed: Seed): void {
  const tenantFolder = (tenantId: string) => join(dataDir, "images", tenantId);
  const [shard = ""] = readdirSync(tenantFolder(seed.tenantId));
  const [file = ""] = readdirSync(join(tenantFolder(seed.tenantId), shard)).filter((name) =>
    name.startsWith(seed.imageId),
  );
  const original = join(tenantFolder(seed.tenantId), shard, file);
  for (const tenantId of [seed.tenantId, ...seed.otherTenants]) {
    const folder = join(tenantFolder(tenantId), shard);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    let source = "";
    for (const row of sqlite.all("SELECT image_id FROM copies WHERE tenant_id = ?", tenantId)) {
      const copy = join(folder, text(row, "image_id"));
      const isFull = source === "" || statSync(source).nlink >= 30_000;
      if (isFull) copyFileSync(original, copy);
      else linkSync(source, copy);
      if (isFull) source = copy;
    }
  }
}

function storedRun(row: Row): StoredRun {
  return {
    id: text(row, "run_id"),
    imageId: text(row, "image_id"),
    deliveryId: text(row, "delivery_id"),
    auditId: text(row, "audit_id"),
    createdAt: integer(row, "at"),
  };
}
