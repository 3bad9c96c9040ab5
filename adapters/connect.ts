import { accessSync, constants, mkdirSync } from "node:fs";
import { join } from "node:path";
import { AppError } from "../core/errors.ts";
import type { Clock, Ports } from "../core/ports.ts";
import { openBell } from "./bell.ts";
import type { Config } from "./config.ts";
import { fileImages } from "./file-images.ts";
import { modelPlaces, openModels } from "./model-folders.ts";
import { serviceSecret } from "./service-secret.ts";
import { openSqlite } from "./sqlite.ts";
import { sqliteQueue } from "./sqlite-queue.ts";
import { sqliteRuns } from "./sqlite-runs.ts";
import { sqliteTenants } from "./sqlite-tenants.ts";

/** The ports on real technology, and the secret that API keys and upload URLs are made with. */
export interface Connection extends Ports {
  readonly secret: string;
  /** Ends all waits at once; the ports are of no use afterwards. */
  close(): Promise<void>;
}

/**
 * Opens all that a process of the service needs; several processes may share a data folder. Throws AppError: SETTING_INVALID where the
 * data folder cannot be used, INTERNAL where its disk is full, MODEL_UNAVAILABLE or MODEL_NOT_FOUND from the models.
 */
export async function connect(config: Config): Promise<Connection> {
  const { dataDir, publicUrl } = config;
  prepareFolder(dataDir);
  const models = await openModels(modelPlaces(config));
  const secret = config.secret ?? (await serviceSecret(dataDir));
  const sqlite = openSqlite(join(dataDir, "vedere.db"));
  const bell = openBell(join(dataDir, "bells"));
  return {
    runs: sqliteRuns(sqlite, bell),
    tenants: sqliteTenants(sqlite),
    queue: sqliteQueue(sqlite, bell, systemClock),
    ...fileImages(sqlite, systemClock, { folder: dataDir, publicUrl, secret }),
    models,
    clock: systemClock,
    secret,
    async close() {
      bell.close();
      sqlite.close();
    },
  };
}

const systemClock: Clock = { now: () => Date.now() };

function prepareFolder(dataDir: string): void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AppError("SETTING_INVALID", `The data folder ${dataDir} cannot be used: ${reason}.`, {
      fix: "Give this process's user a folder there that it may write to, or choose another with --data or VEDERE_DATA.",
      cause,
    });
  }
}
