import { accessSync, constants, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { KeyPorts } from "../core/api-keys.ts";
import { AppError } from "../core/errors.ts";
import type { Clock, ModelRegistry, Ports } from "../core/ports.ts";
import { openBell } from "./bell.ts";
import type { Config } from "./config.ts";
import { fileImages } from "./file-images.ts";
import { modelPlaces, openModels, requireDefault } from "./model-folders.ts";
import { serviceSecret } from "./service-secret.ts";
import { openSqlite } from "./sqlite.ts";
import { sqliteBudgets } from "./sqlite-budgets.ts";
import { sqliteModels } from "./sqlite-models.ts";
import { sqliteQueue } from "./sqlite-queue.ts";
import { sqliteRuns } from "./sqlite-runs.ts";
import { sqliteTenants } from "./sqlite-tenants.ts";
import { sqliteWebhooks } from "./sqlite-webhooks.ts";

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
  const secret = config.secret ?? (await serviceSecret(dataDir));
  const sqlite = openSqlite(databaseOf(config));
  const registry = sqliteModels(sqlite);
  const models = openModels(modelPlaces(config), registry.aliases);
  try {
    await requireDefault(models, modelPlaces(config));
  } catch (error) {
    sqlite.close();
    throw error;
  }
  const bell = openBell(join(dataDir, "bells"));
  return {
    runs: sqliteRuns(sqlite, bell),
    tenants: sqliteTenants(sqlite),
    budgets: sqliteBudgets(sqlite),
    webhooks: sqliteWebhooks(sqlite, bell, systemClock),
    queue: sqliteQueue(sqlite, bell, systemClock),
    ...fileImages(sqlite, systemClock, { folder: dataDir, publicUrl, secret }),
    models,
    registry,
    clock: systemClock,
    secret,
    async close() {
      bell.close();
      sqlite.close();
    },
  };
}

/**
 * The models of this machine and what is said about them, without the rest of the service: whatever state they are in. `registry` is null where
 * the data folder has no store yet, unless `isMade` asks for one. Throws AppError as `connect`, but not for the models.
 */
export async function connectModels(config: Config, { isMade }: { isMade: boolean } = { isMade: false }): Promise<ModelConnection> {
  if (isMade) prepareFolder(config.dataDir);
  const sqlite = isMade || existsSync(databaseOf(config)) ? openSqlite(databaseOf(config)) : null;
  const registry = sqlite && sqliteModels(sqlite);
  const models = openModels(modelPlaces(config), registry ? registry.aliases : async () => []);
  return { models, registry, clock: systemClock, close: () => sqlite?.close() };
}

export interface ModelConnection extends Pick<Ports, "models" | "clock"> {
  readonly registry: ModelRegistry | null;
  close(): void;
}

/** The tenants and their keys, without the rest of the service. Throws AppError as `connect`, but not for the models. */
export async function connectTenants(config: Config): Promise<TenantConnection> {
  prepareFolder(config.dataDir);
  const pepper = config.secret ?? (await serviceSecret(config.dataDir));
  const sqlite = openSqlite(databaseOf(config));
  return { tenants: sqliteTenants(sqlite), clock: systemClock, pepper, close: () => sqlite.close() };
}

export interface TenantConnection extends KeyPorts {
  close(): void;
}

const databaseOf = ({ dataDir }: Config) => join(dataDir, "vedere.db");

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
