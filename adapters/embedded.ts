import { accessSync, constants, existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { AppError } from "../core/errors.ts";
import type { Clock } from "../core/ports.ts";
import { openBell } from "./bell.ts";
import type { Config } from "./config.ts";
import { makeFolder } from "./disk.ts";
import { embeddedProbe } from "./embedded-probe.ts";
import { fileImages } from "./file-images.ts";
import { openSqlite, type Sqlite } from "./sqlite.ts";
import { sqliteAudit } from "./sqlite-audit.ts";
import { sqliteBudgets } from "./sqlite-budgets.ts";
import { sqliteModels } from "./sqlite-models.ts";
import { sqliteQueue } from "./sqlite-queue.ts";
import { sqliteRetention } from "./sqlite-retention.ts";
import { sqliteRuns } from "./sqlite-runs.ts";
import { sqliteSessions } from "./sqlite-sessions.ts";
import { sqliteTenants } from "./sqlite-tenants.ts";
import { sqliteWebhooks } from "./sqlite-webhooks.ts";
import type { Store } from "./store.ts";
import { systemFault } from "./system-fault.ts";

/**
 * The store in the data folder: SQLite and files. Several processes of one machine may share it.
 * Throws AppError SETTING_INVALID, INTERNAL.
 */
export function openEmbedded(
  { dataDir, publicUrl }: Config,
  { secret, clock }: { secret: string; clock: Clock },
): Store {
  const sqlite = openData(dataDir);
  const bell = openBell(join(dataDir, "bells"));
  return {
    runs: sqliteRuns(sqlite, bell),
    tenants: sqliteTenants(sqlite),
    audit: sqliteAudit(sqlite),
    sessions: sqliteSessions(sqlite),
    budgets: sqliteBudgets(sqlite),
    webhooks: sqliteWebhooks(sqlite, bell, clock),
    queue: sqliteQueue(sqlite, bell, clock),
    registry: sqliteModels(sqlite),
    probe: embeddedProbe(sqlite, dataDir),
    retention: sqliteRetention({ sqlite, bell }, clock, dataDir),
    ...fileImages(sqlite, clock, { folder: dataDir, publicUrl, secret }),
    async close() {
      bell.close();
      sqlite.close();
    },
  };
}

/** The database of a data folder, both made where they are missing. */
export function openData(dataDir: string): Sqlite {
  prepareFolder(dataDir);
  return openSqlite(databaseIn(dataDir));
}

export function hasData(dataDir: string): boolean {
  return existsSync(databaseIn(dataDir));
}

/** Throws AppError SETTING_INVALID where this user cannot work in the folder. */
export function prepareFolder(dataDir: string): void {
  try {
    makeFolder(resolve(dataDir));
    accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    const reason = systemFault(cause)?.message ?? `${String(cause)}.`;
    throw new AppError("SETTING_INVALID", `The data folder ${dataDir} cannot be used: ${reason}`, {
      fix: "Give this process's user a folder there that it may write to, or choose another with --data or VEDERE_DATA.",
      cause,
    });
  }
}

/** The path of a data folder's database. */
export function databaseIn(dataDir: string): string {
  return join(dataDir, "vedere.db");
}
