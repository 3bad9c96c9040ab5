/**
 * The tables, as steps from an empty file: PRAGMA user_version counts the steps taken. A released step is never edited; a change is a
 * new one. Times are milliseconds since 1970; `data` is the record as JSON, and the columns beside it are what queries need.
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
];
