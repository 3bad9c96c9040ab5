/**
 * The tables, as steps from an empty file: PRAGMA user_version counts the steps taken. A released
 * step is never edited; a change is a new one. Times are milliseconds since 1970; `data` is the
 * record as JSON, and the columns beside it are what queries need.
 */
export const migrations: readonly string[] = [
  `
  CREATE TABLE tenants (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    secret_hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
  ) STRICT;

  CREATE TABLE runs (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    status TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    idempotency_key TEXT,
    input_hash TEXT,
    data TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id)
  ) STRICT;
  CREATE UNIQUE INDEX runs_by_idempotency_key ON runs (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
  CREATE INDEX runs_newest ON runs (tenant_id, created_at DESC, id DESC, status);
  CREATE INDEX runs_queued ON runs (created_at) WHERE status = 'QUEUED';
  CREATE INDEX runs_overdue ON runs (expires_at) WHERE status = 'QUEUED';
  CREATE INDEX runs_unfinished_of_tenant ON runs (tenant_id, status) WHERE status IN ('QUEUED', 'PROCESSING');

  -- AUTOINCREMENT: the id tells the order of sending, so an id is never given twice.
  CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    sent_at INTEGER NOT NULL,
    visible_at INTEGER NOT NULL,
    receive_count INTEGER NOT NULL DEFAULT 0,
    receipt TEXT UNIQUE
  ) STRICT;
  CREATE INDEX messages_of_tenant ON messages (tenant_id, visible_at);

  CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    sent_at INTEGER NOT NULL,
    receive_count INTEGER NOT NULL,
    reason TEXT NOT NULL,
    buried_at INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE images (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id)
  ) STRICT;

  CREATE TABLE uploads (
    id TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    byte_size INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    received_at INTEGER
  ) STRICT;
  CREATE INDEX uploads_by_expiry ON uploads (expires_at);
  `,
  `
  CREATE TABLE model_aliases (
    name TEXT PRIMARY KEY,
    target TEXT NOT NULL
  ) STRICT;

  CREATE TABLE worker_reports (
    worker_id TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    data TEXT NOT NULL
  ) STRICT;
  `,
  `
  ALTER TABLE tenants ADD COLUMN disabled_at INTEGER;
  ALTER TABLE api_keys ADD COLUMN name TEXT NOT NULL DEFAULT '';
  ALTER TABLE api_keys ADD COLUMN scopes TEXT NOT NULL
    DEFAULT '["RUNS_READ","RUNS_WRITE","IMAGES_WRITE","WEBHOOKS_ADMIN","KEYS_ADMIN","USAGE_READ"]';
  ALTER TABLE api_keys ADD COLUMN expires_at INTEGER;
  CREATE INDEX api_keys_of_tenant ON api_keys (tenant_id, created_at DESC);
  `,
  `
  CREATE TABLE charges (
    tenant_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    task INTEGER NOT NULL,
    name TEXT NOT NULL,
    at INTEGER NOT NULL,
    encodings INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, run_id, task)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX charges_by_time ON charges (tenant_id, at);

  CREATE TABLE budgets (
    tenant_id TEXT NOT NULL,
    name TEXT NOT NULL,
    level REAL NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  CREATE TABLE webhook_endpoints (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE webhook_outbox (
    id TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    data TEXT NOT NULL
  ) STRICT;
  CREATE INDEX webhook_outbox_by_time ON webhook_outbox (at);

  CREATE TABLE webhook_deliveries (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    status TEXT NOT NULL,
    endpoint_id TEXT,
    run_id TEXT,
    created_at INTEGER NOT NULL,
    due_at INTEGER,
    data TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id)
  ) STRICT;
  CREATE INDEX webhook_deliveries_newest ON webhook_deliveries (tenant_id, created_at DESC, id DESC, endpoint_id, status);
  CREATE INDEX webhook_deliveries_of_run ON webhook_deliveries (tenant_id, run_id);
  CREATE INDEX webhook_deliveries_due ON webhook_deliveries (due_at) WHERE due_at IS NOT NULL;
  `,
  `
  ALTER TABLE tenants ADD COLUMN limits TEXT NOT NULL DEFAULT '{}';
  `,
  `
  -- Sums of the ledger by minute, hour, day and month of UTC ("start" is its first millisecond).
  CREATE TABLE usage_sums (
    tenant_id TEXT NOT NULL,
    grain TEXT NOT NULL,
    start INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    tasks INTEGER NOT NULL,
    encodings INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, grain, start)
  ) STRICT, WITHOUT ROWID;

  -- All charges of a run have the same "at", so no run counts in two minutes.
  INSERT INTO usage_sums
    SELECT tenant_id, 'minute', at - at % 60000, count(DISTINCT run_id), count(*), sum(encodings), sum(tokens), sum(cost)
    FROM charges GROUP BY tenant_id, at - at % 60000;
  INSERT INTO usage_sums
    SELECT tenant_id, 'hour', start - start % 3600000, sum(runs), sum(tasks), sum(encodings), sum(tokens), sum(cost)
    FROM usage_sums WHERE grain = 'minute' GROUP BY tenant_id, start - start % 3600000;
  INSERT INTO usage_sums
    SELECT tenant_id, 'day', start - start % 86400000, sum(runs), sum(tasks), sum(encodings), sum(tokens), sum(cost)
    FROM usage_sums WHERE grain = 'hour' GROUP BY tenant_id, start - start % 86400000;
  INSERT INTO usage_sums
    SELECT tenant_id, 'month', unixepoch(start / 1000, 'unixepoch', 'start of month') * 1000,
      sum(runs), sum(tasks), sum(encodings), sum(tokens), sum(cost)
    FROM usage_sums WHERE grain = 'day'
    GROUP BY tenant_id, unixepoch(start / 1000, 'unixepoch', 'start of month');

  CREATE TRIGGER charges_are_summed AFTER INSERT ON charges BEGIN
    INSERT INTO usage_sums (tenant_id, grain, start, runs, tasks, encodings, tokens, cost)
      SELECT NEW.tenant_id, grain, start,
        NOT EXISTS (SELECT 1 FROM charges WHERE tenant_id = NEW.tenant_id AND run_id = NEW.run_id AND task <> NEW.task),
        1, NEW.encodings, NEW.tokens, NEW.cost
      FROM (
        SELECT 'minute' AS grain, NEW.at - NEW.at % 60000 AS start
        UNION ALL SELECT 'hour', NEW.at - NEW.at % 3600000
        UNION ALL SELECT 'day', NEW.at - NEW.at % 86400000
        UNION ALL SELECT 'month', unixepoch(NEW.at / 1000, 'unixepoch', 'start of month') * 1000
      ) WHERE true
      ON CONFLICT (tenant_id, grain, start) DO UPDATE SET
        runs = runs + excluded.runs,
        tasks = tasks + 1,
        encodings = encodings + excluded.encodings,
        tokens = tokens + excluded.tokens,
        cost = cost + excluded.cost;
  END;

  CREATE INDEX runs_newest_in_status ON runs (tenant_id, status, created_at DESC, id DESC);
  DROP INDEX webhook_deliveries_of_run;
  CREATE INDEX webhook_deliveries_of_run ON webhook_deliveries (tenant_id, run_id, created_at DESC, id DESC);
  CREATE INDEX webhook_deliveries_to_endpoint ON webhook_deliveries (tenant_id, endpoint_id, created_at DESC, id DESC);
  CREATE INDEX webhook_deliveries_to_endpoint_in_status
    ON webhook_deliveries (tenant_id, endpoint_id, status, created_at DESC, id DESC);
  CREATE INDEX webhook_deliveries_in_status ON webhook_deliveries (tenant_id, status, created_at DESC, id DESC);
  `,
  `
  CREATE TABLE audit_log (
    at INTEGER NOT NULL,
    id TEXT NOT NULL,
    tenant_id TEXT,
    key_id TEXT,
    action TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (at, id)
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX audit_log_ids ON audit_log (id);
  CREATE INDEX audit_log_of_tenant ON audit_log (tenant_id, at DESC, id DESC);
  CREATE INDEX audit_log_of_key ON audit_log (key_id, at DESC, id DESC);
  CREATE INDEX audit_log_of_action ON audit_log (action, at DESC, id DESC);
  CREATE INDEX audit_log_of_subject ON audit_log (subject_id, at DESC, id DESC);
  -- INSERT OR REPLACE deletes without the other triggers.
  CREATE TRIGGER audit_log_is_not_replaced BEFORE INSERT ON audit_log
    WHEN EXISTS (SELECT 1 FROM audit_log WHERE id = NEW.id) BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
  END;
  CREATE TRIGGER audit_log_is_not_changed BEFORE UPDATE ON audit_log BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
  END;
  CREATE TRIGGER audit_log_is_not_deleted BEFORE DELETE ON audit_log BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
  END;
  `,
  `
  CREATE TABLE sign_in_tokens (
    hash TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    expires_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX sign_in_tokens_by_expiry ON sign_in_tokens (expires_at);

  CREATE TABLE sessions (
    hash TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX sessions_by_expiry ON sessions (expires_at);
  CREATE INDEX sessions_of_key ON sessions (key_id, created_at DESC);
  `,
  `
  -- The key that asked for the upload; null for those of older releases.
  ALTER TABLE uploads ADD COLUMN key_id TEXT;
  `,
  `
  -- What readiness writes: one row at a time.
  CREATE TABLE probes (
    id INTEGER PRIMARY KEY,
    data BLOB NOT NULL
  ) STRICT;
  `,
  `
  -- What retention and deletion search. The columns are read from the record, so that nothing else writes them.
  ALTER TABLE runs ADD COLUMN finished_at INTEGER GENERATED ALWAYS AS (data ->> '$.finishedAt') VIRTUAL;
  ALTER TABLE runs ADD COLUMN image_id TEXT GENERATED ALWAYS AS (data ->> '$.image.id') VIRTUAL;
  CREATE INDEX runs_finished ON runs (tenant_id, finished_at) WHERE finished_at IS NOT NULL;
  CREATE INDEX runs_of_image ON runs (tenant_id, image_id, status);
  CREATE INDEX dead_letters_of_run ON dead_letters (tenant_id, run_id);
  CREATE INDEX dead_letters_by_time ON dead_letters (tenant_id, buried_at);

  -- "file" is the image's file below the data folder; null in older rows: images/TENANT/SHA/ID.
  ALTER TABLE images ADD COLUMN file TEXT;
  -- When it was stored, until a run takes it.
  ALTER TABLE images ADD COLUMN unused_since INTEGER;
  UPDATE images SET unused_since = 0 WHERE NOT EXISTS
    (SELECT 1 FROM runs WHERE runs.tenant_id = images.tenant_id AND runs.image_id = images.id);
  CREATE INDEX images_unused ON images (unused_since) WHERE unused_since IS NOT NULL;

  -- Images that were deleted a short time ago: a run that found one before may not be stored with it.
  CREATE TABLE removed_images (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX removed_images_by_age ON removed_images (at);

  -- Files whose record is gone: they are deleted after it, whatever ends in between.
  CREATE TABLE removed_files (
    path TEXT PRIMARY KEY
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- The state of a tenant's deletion as JSON; "deletion_end" is when it ended, or the end of time.
  ALTER TABLE tenants ADD COLUMN deletion TEXT;
  ALTER TABLE tenants ADD COLUMN deletion_end INTEGER GENERATED ALWAYS AS
    (iif(deletion IS NULL, NULL, coalesce(deletion ->> '$.finishedAt', 9007199254740991))) VIRTUAL;
  CREATE INDEX tenants_deleted ON tenants (deletion_end) WHERE deletion_end IS NOT NULL;
  CREATE INDEX uploads_of_tenant ON uploads (tenant_id);
  CREATE INDEX webhook_outbox_of_tenant ON webhook_outbox (tenant_id);
  CREATE INDEX sign_in_tokens_of_tenant ON sign_in_tokens (tenant_id);
  CREATE INDEX sessions_of_tenant ON sessions (tenant_id);
  `,
  `
  -- From when on a run that keeps nothing may be deleted.
  ALTER TABLE runs ADD COLUMN erase_at INTEGER;
  CREATE INDEX runs_to_erase ON runs (erase_at) WHERE erase_at IS NOT NULL;
  `,
];
