import type { KeyPorts } from "../core/api-keys.ts";
import type { Audit } from "../core/audit.ts";
import type { Clock, ModelRegistry, Ports } from "../core/ports.ts";
import type { Config } from "./config.ts";
import { hasData, openData, openEmbedded, prepareFolder } from "./embedded.ts";
import { modelPlaces, openModels, requireDefault } from "./model-folders.ts";
import { serviceSecret } from "./service-secret.ts";
import { sqliteAudit } from "./sqlite-audit.ts";
import { sqliteModels } from "./sqlite-models.ts";
import { sqliteSessions } from "./sqlite-sessions.ts";
import { sqliteTenants } from "./sqlite-tenants.ts";
import type { Store } from "./store.ts";

/**
 * The ports on real technology, and the secret that API keys, webhook secrets and upload URLs are
 * made with.
 */
export interface Connection extends Ports {
  readonly secret: string;
  /** Ends all waits at once; the ports are of no use afterwards. */
  close(): Promise<void>;
}

/**
 * Opens all that a process of the service needs; several processes may share a store. Throws
 * AppError: SETTING_INVALID where the data folder or a resource of the cloud cannot be used,
 * INTERNAL where the folder's disk is full, MODEL_UNAVAILABLE or MODEL_NOT_FOUND from the models.
 */
export async function connect(config: Config): Promise<Connection> {
  prepareFolder(config.dataDir);
  const secret = await secretOf(config);
  const store: Store =
    config.store === "aws"
      ? await (await aws()).openAws(config, systemClock)
      : openEmbedded(config, { secret, clock: systemClock });
  const models = openModels(modelPlaces(config), store.registry.aliases);
  try {
    await requireDefault(models, modelPlaces(config));
  } catch (error) {
    await store.close();
    throw error;
  }
  return { ...store, models, clock: systemClock, secret };
}

/**
 * The models of this machine and what is said about them, without the rest of the service: whatever
 * state they are in. `registry` is null where the data folder has no store yet, unless `isMade`
 * asks for one. Throws AppError as `connect`, but not for the models.
 */
export async function connectModels(
  config: Config,
  { isMade }: { isMade: boolean } = { isMade: false },
): Promise<ModelConnection> {
  const { registry, audit, close } = await openRegistry(config, isMade);
  const models = openModels(modelPlaces(config), registry ? registry.aliases : async () => []);
  return { models, registry, audit, clock: systemClock, close };
}

export interface ModelConnection extends Pick<Ports, "models" | "clock"> {
  readonly registry: ModelRegistry | null;
  /** Null where there is no registry. */
  readonly audit: Audit | null;
  close(): void;
}

/**
 * The tenants and their keys, without the rest of the service. Throws AppError as `connect`, but
 * not for the models.
 */
export async function connectTenants(config: Config): Promise<TenantConnection> {
  if (config.store === "aws") {
    const { tenants, audit, close } = await (await aws()).openAwsTable(config, systemClock);
    const pepper = await secretOf(config);
    return { tenants, audit, sessions: null, clock: systemClock, pepper, close };
  }
  prepareFolder(config.dataDir);
  const pepper = await secretOf(config);
  const sqlite = openData(config.dataDir);
  return {
    tenants: sqliteTenants(sqlite),
    audit: sqliteAudit(sqlite),
    sessions: sqliteSessions(sqlite),
    clock: systemClock,
    pepper,
    close: () => sqlite.close(),
  };
}

export interface TenantConnection extends KeyPorts, Pick<Ports, "sessions"> {
  readonly audit: Audit;
  close(): void;
}

/** Loaded where it is needed only: the SDK takes a while. */
const aws = () => import("./aws/open-aws.ts");

const systemClock: Clock = { now: () => Date.now() };

async function secretOf({ secret, secretArn, dataDir }: Config): Promise<string> {
  if (secret !== null) return secret;
  return secretArn === null
    ? serviceSecret(dataDir)
    : (await import("./aws/read-secret.ts")).readSecret(secretArn);
}

async function openRegistry(
  config: Config,
  isMade: boolean,
): Promise<Pick<ModelConnection, "registry" | "audit" | "close">> {
  if (config.store === "aws") return (await aws()).openAwsTable(config, systemClock);
  if (!isMade && !hasData(config.dataDir)) return { registry: null, audit: null, close() {} };
  const sqlite = openData(config.dataDir);
  return {
    registry: sqliteModels(sqlite),
    audit: sqliteAudit(sqlite),
    close: () => sqlite.close(),
  };
}
