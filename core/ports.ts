import type { RawAnswer } from "../schema/answer.ts";
import type { Size } from "../schema/geometry.ts";
import type { GenerateOptions, LocationGroup, TaskName } from "../schema/task.ts";
import type { Audit, AuditEntry } from "./audit.ts";
import type { BucketSize } from "./budget.ts";
import type { Charge, Usage } from "./charge.ts";
import type { Retention } from "./retention.ts";
import type { Run, RunMessage, RunStatus, StoredImage } from "./run.ts";
import type { Session, SignInToken } from "./session-record.ts";
import type { ApiKey, NewTenant, Tenant } from "./tenant.ts";
import type { TenantLimitsChange } from "./tenant-limits.ts";
import type { Webhooks } from "./webhook-store.ts";

/**
 * All that the service needs from the world. A tenant's id comes first in every call that touches a
 * tenant's data.
 */
export interface Ports {
  readonly runs: Runs;
  readonly tenants: Tenants;
  readonly audit: Audit;
  readonly budgets: Budgets;
  readonly webhooks: Webhooks;
  readonly images: Images;
  readonly retention: Retention;
  readonly queue: Queue;
  readonly models: Models;
  readonly registry: ModelRegistry;
  /**
   * Where the gateway itself takes uploaded bytes (embedded store); null where clients PUT to the
   * store directly.
   */
  readonly uploads: UploadReceiver | null;
  readonly probe: StorageProbe;
  /** The sessions of pages (embedded store); null if the gateway serves no page. */
  readonly sessions: Sessions | null;
  readonly clock: Clock;
}

/** Whether a run could be stored at this moment. */
export interface StorageProbe {
  /**
   * Stores a little, in the place of what it stored before; what it costs does not grow with the
   * store. Rejects as storing a run would: with AppError STORE_UNAVAILABLE where the place and the
   * way out are known.
   */
  write(): Promise<void>;
}

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
}

export interface Runs {
  /**
   * Stores a new run. With an idempotency key that this tenant has used before, nothing is stored
   * and the earlier run comes back: `replayed` where the input's hash is the same, `mismatch` where
   * it differs. Keys are remembered as long as their run. `imageGone`: nothing is stored, because
   * the run's image was deleted a moment ago, and has not been put again.
   */
  create(
    run: Run,
    idempotency: { key: string; inputHash: string } | null,
  ): Promise<{ outcome: "created" | "replayed" | "mismatch" | "imageGone"; run: Run }>;
  get(tenantId: string, runId: string): Promise<Run | null>;
  /**
   * The run that was created with an idempotency key, and the hash of its input; null where this
   * tenant never used the key.
   */
  findByKey(tenantId: string, key: string): Promise<{ run: Run; inputHash: string } | null>;
  /**
   * Replaces the run if it still has version `run.version - 1`; false, and nothing changed, where
   * it has not. A run that ends so leaves its charges (`core/charge.ts`) in the ledger and its
   * event (`core/webhook.ts`) in the outbox, in the same transaction.
   */
  replace(run: Run): Promise<boolean>;
  /** The sums of a tenant's charges from an instant, until before another. */
  usage(tenantId: string, span: { readonly from: number; readonly to: number }): Promise<Usage>;
  /**
   * The ledger's rows of a tenant by run, in the order in which the runs ended, ties by id, from
   * behind `after`.
   */
  ledger(
    tenantId: string,
    page: { readonly first: number; readonly after: { at: number; runId: string } | null },
  ): Promise<ChargedRun[]>;
  /** Newest first. */
  list(
    tenantId: string,
    page: { first: number; after: string | null; status: readonly RunStatus[] | null },
  ): Promise<RunPage>;
  /**
   * A finished run that keeps nothing may be deleted from this instant on, or from the earlier one
   * that is known.
   */
  eraseFrom(tenantId: string, runId: string, at: number): Promise<void>;
  /** Runs of all tenants that may be deleted by an instant, longest overdue first. */
  erasable(by: number, max: number): Promise<Pick<Run, "tenantId" | "id">[]>;
  countUnfinished(tenantId: string): Promise<number>;
  /**
   * For the sweeper: queued runs of all tenants that were created before an instant, oldest first.
   */
  queued(createdBefore: number, max: number): Promise<Run[]>;
  /**
   * For the sweeper: queued runs of all tenants whose time had run out by an instant, longest
   * overdue first.
   */
  overdue(by: number, max: number): Promise<Run[]>;
  /**
   * Resolves once the run has another version than the given one, or after `waitMs`; whichever is
   * first.
   */
  changed(
    tenantId: string,
    runId: string,
    version: number,
    waitMs: number,
    signal?: AbortSignal,
  ): Promise<void>;
}

/** A run in the ledger. */
export interface ChargedRun {
  readonly runId: string;
  /** When it ended. */
  readonly at: number;
  readonly charges: readonly Charge[];
}

export interface RunPage {
  readonly runs: readonly Run[];
  readonly hasNextPage: boolean;
  /** The cursor of a run in this listing. */
  cursorOf(run: Run): string;
}

/**
 * A change that is given an entry of the audit log writes both in one transaction, and no entry
 * where nothing changed.
 */
export interface Tenants {
  create(tenant: NewTenant, entry?: AuditEntry): Promise<void>;
  get(tenantId: string): Promise<Tenant | null>;
  /** All of them, by id, from behind `after`. */
  list(page: { readonly first: number; readonly after: string | null }): Promise<Tenant[]>;
  /**
   * Since when a tenant's keys admit nobody; null lets them in again. False where there is no such
   * tenant, or it is being deleted.
   */
  setDisabled(tenantId: string, disabledAt: number | null, entry?: AuditEntry): Promise<boolean>;
  /**
   * Begins to delete a tenant: shuts its keys out for good, and notes what is to be done. One that
   * has begun goes on. False if there is no such tenant.
   */
  beginDeletion(tenantId: string, at: number, entry?: AuditEntry): Promise<boolean>;
  /** Tenants that are being deleted, and those whose deletion ended after an instant. */
  deletions(endedAfter: number): Promise<Tenant[]>;
  /** Notes that nothing is left of a tenant, and forgets its name and limits. */
  endDeletion(tenantId: string, at: number): Promise<void>;
  /** Changes the limits that the change names, at once. False if there is no such tenant. */
  setLimits(tenantId: string, change: TenantLimitsChange, entry?: AuditEntry): Promise<boolean>;
  createKey(key: ApiKey, entry?: AuditEntry): Promise<void>;
  /** One indexed read; null where no key has this id. */
  findKey(keyId: string): Promise<ApiKey | null>;
  /** A tenant's keys, dead ones included, newest first. */
  keys(tenantId: string): Promise<ApiKey[]>;
  /**
   * Stores a key and moves the end of the one that it replaces, in one transaction. False, and
   * nothing changed, if the fresh key's tenant has no such key, or it is revoked or ends earlier
   * than that.
   */
  replaceKey(
    fresh: ApiKey,
    replaced: { readonly keyId: string; readonly expiresAt: number },
    entries?: readonly AuditEntry[],
  ): Promise<boolean>;
  /**
   * From now on the key admits nobody; the first instant stays. False where the tenant has no such
   * key.
   */
  revokeKey(
    tenantId: string,
    keyId: string,
    revokedAt: number,
    entry?: AuditEntry,
  ): Promise<boolean>;
}

/**
 * Sign-in links and sessions of pages, by the hash of what the page holds; entries as in Tenants.
 */
export interface Sessions {
  /** Stores a token, and deletes those that had expired by `now` (milliseconds since 1970). */
  createToken(token: SignInToken, now: number, entry?: AuditEntry): Promise<void>;
  /** Takes a token out of the store: of several callers one gets it. Null if there is none. */
  takeToken(hash: string): Promise<SignInToken | null>;
  /**
   * Stores a session; deletes those that had expired when it was created, and of the same key the
   * oldest beyond `limits.session.perKeyMax`.
   */
  create(session: Session, entry?: AuditEntry): Promise<void>;
  find(hash: string): Promise<Session | null>;
  /** Deletes a session. Does nothing if there is none. */
  end(hash: string, entry?: AuditEntry): Promise<void>;
}

/**
 * Token buckets, by tenant and a name of its own; all processes of the service draw from the same.
 */
export interface Budgets {
  /**
   * Draws the cost from all of the named buckets, or from none (`draw` in core/budget.ts). A cost
   * of 0 reads. Negative costs give back.
   */
  draw(
    tenantId: string,
    names: readonly string[],
    given: { readonly cost: number; readonly size: BucketSize; readonly now: number },
  ): Promise<{ readonly levels: readonly number[]; readonly waitMs: number }>;
}

export interface Images {
  /** Stores an image; storing the same bytes twice changes nothing. */
  put(tenantId: string, image: StoredImage, bytes: Uint8Array): Promise<void>;
  get(tenantId: string, imageId: string): Promise<StoredImage | null>;
  read(tenantId: string, imageId: string): Promise<Uint8Array | null>;
  /** A tenant's images by id, from behind `after`; none only where there are no more. */
  list(
    tenantId: string,
    page: { readonly first: number; readonly after: string | null },
  ): Promise<StoredImage[]>;
  /**
   * Prepares one PUT of exactly the announced bytes, for the key that asks. Where the gateway takes
   * the bytes, it takes them only while that key admits; S3 cannot ask.
   */
  createUpload(tenantId: string, upload: Upload, keyId?: string): Promise<UploadTarget>;
  getUpload(tenantId: string, uploadId: string): Promise<Upload | null>;
  /** The bytes that were PUT; null until they are. */
  readUpload(tenantId: string, uploadId: string): Promise<Uint8Array | null>;
}

export interface UploadReceiver {
  /**
   * Takes the bytes of one upload. Throws AppError: NOT_FOUND (unknown, expired, used already,
   * wrongly signed, or of a key that admits nobody any more), SOURCE_TOO_LARGE (more bytes than
   * announced; nothing is kept), INVALID (fewer bytes, or another sha256; nothing is kept).
   */
  accept(uploadId: string, signature: string, body: AsyncIterable<Uint8Array>): Promise<void>;
}

export interface Upload {
  readonly id: string;
  readonly byteSize: number;
  readonly sha256: string;
  readonly expiresAt: number;
}

export interface UploadTarget {
  readonly method: "PUT";
  readonly url: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
}

/**
 * At least once, in no promised order. A received message is invisible to others until its lease
 * ends.
 */
export interface Queue {
  send(message: RunMessage): Promise<void>;
  /**
   * Up to `max` messages, waiting up to `waitMs` for the first; of other tenants than those of
   * `except`, where the queue can tell them apart before it gives them.
   */
  receive(options: {
    max: number;
    waitMs: number;
    leaseMs: number;
    except?: readonly string[];
    signal?: AbortSignal;
  }): Promise<Lease[]>;
  /** Renews a lease; false where it was lost. */
  extend(lease: Lease, leaseMs: number): Promise<boolean>;
  /** Ends a message. Does nothing where the lease was lost. */
  remove(lease: Lease): Promise<void>;
  /** Makes a message visible again after `delayMs`. */
  release(lease: Lease, delayMs: number): Promise<void>;
  /** Moves a message to the dead letters. */
  bury(lease: Lease, reason: string): Promise<void>;
  depth(): Promise<QueueDepth>;
}

export interface Lease {
  readonly message: RunMessage;
  /** Names this delivery; a later delivery of the same message has another. */
  readonly receipt: string;
  /** How often the message was delivered, this time included. */
  readonly receiveCount: number;
}

export interface QueueDepth {
  readonly visible: number;
  readonly inFlight: number;
  readonly dead: number;
  /** Of the oldest message; an upper bound where the queue cannot tell. */
  readonly oldestAgeMs: number;
}

/**
 * The models whose files are here, known without loading them; models that come, change and go are
 * seen without a restart.
 */
export interface Models {
  /**
   * One for each id and revision, sound or not; of several revisions of one id the newest first.
   * What is listed may be up to a second old unless `isFresh` is set: for the moment at which a
   * model is missed. `core/model-names.ts` finds a model in it by a name.
   */
  list(options?: { readonly isFresh: boolean }): Promise<ModelInfo[]>;
}

export interface ModelInfo {
  readonly id: string;
  readonly description: string;
  readonly revision: string;
  readonly precision: string;
  readonly tasks: readonly TaskName[];
  readonly isDefault: boolean;
  /** Names that lead to this model and revision. */
  readonly aliases: readonly string[];
  /** Why its files cannot be run; null where nothing speaks against them. */
  readonly fault: string | null;
  /** The folder of its files: config.json, tokenizer.json, onnx/ … */
  readonly folder: string;
  /** Names the state of the files: another one means that some of them were changed. */
  readonly stamp: string;
  /**
   * Options of requests that leave them open; what is open here too comes from
   * generation_config.json.
   */
  readonly defaults: GenerateOptions;
}

/** What operators and workers say about models, shared by all processes of the service. */
export interface ModelRegistry {
  /** All of them, by name. */
  aliases(): Promise<ModelAlias[]>;
  /** Adds an alias, or leads it elsewhere. */
  setAlias(alias: ModelAlias): Promise<void>;
  /** False where there is none of this name. */
  removeAlias(name: string): Promise<boolean>;
  /**
   * Takes the place of what this worker said before. Reports that are more than a day older than
   * this one may be forgotten.
   */
  report(report: WorkerReport): Promise<void>;
  /** The last word of every worker that reported at this instant or later, by worker id. */
  reports(since: number): Promise<WorkerReport[]>;
  /** A worker that ends takes its word back. */
  removeReport(workerId: string): Promise<void>;
}

/** A name for whatever model and revision operators want to be answered by. */
export interface ModelAlias {
  readonly name: string;
  /** An id, `id@revision` or another alias. */
  readonly target: string;
}

/** The models that one worker has to do with. */
export interface WorkerReport {
  readonly workerId: string;
  readonly at: number;
  readonly models: readonly HostedModel[];
}

export interface HostedModel {
  readonly id: string;
  readonly revision: string;
  /** LOADING until it has been warmed up; FAILED until it is tried again. */
  readonly state: "LOADING" | "READY" | "FAILED";
  /**
   * Why it failed, or what else there is to know: that it runs on another execution provider than
   * the preferred one.
   */
  readonly message: string | null;
  /** Null unless READY. */
  readonly executionProvider: string | null;
  /** What it takes of the worker's memory budget. */
  readonly memoryBytes: number;
}

/**
 * Vision models at work, in two verbs: see an image once, answer any number of prompts about it.
 * `model` is a name (an id, `id@revision` or an alias), which is looked up at each call, or the
 * `model` of a HeldModel, which means the same weights as long as it is held.
 */
export interface Engine {
  /**
   * Loads a model if need be and keeps it for one run: whatever an alias or the model folders say
   * meanwhile, and however short memory is, `see` and `answer` then mean this model until
   * `release`. May wait for memory that other runs hold. Throws AppError MODEL_NOT_FOUND,
   * MODEL_UNAVAILABLE (with the reason), CANCELED.
   */
  hold(model: string, signal?: AbortSignal): Promise<HeldModel>;
  /**
   * Decodes and encodes images. One bad image fails alone: its place holds an AppError
   * (SOURCE_CORRUPT …).
   */
  see(
    model: string,
    images: readonly Uint8Array[],
    signal?: AbortSignal,
  ): Promise<(Sight | Error)[]>;
  /**
   * Answers prompts about seen images as one batch, by the model that saw them; the answers are
   * what single calls would give. Throws AppError CANCELED when aborted between two tokens,
   * MODEL_UNAVAILABLE where the model that saw is gone (nobody held it, and its files were
   * replaced). `turn` is awaited before each token: who shares the thread says there when it goes
   * on.
   */
  answer(
    model: string,
    prompts: readonly SightPrompt[],
    signal?: AbortSignal,
    turn?: () => Promise<void>,
  ): Promise<EngineAnswer[]>;
  /** What is loaded, being loaded or failed lately. */
  hosted(): readonly HostedModel[];
  /**
   * Unloads the models to which no name leads any more, as `hold` does in passing; to be called now
   * and then, for when nobody holds any.
   */
  tidy(): Promise<void>;
  close(): Promise<void>;
}

/** A model that stays loaded until `release`, which may be called twice. */
export interface HeldModel {
  /**
   * For `see` and `answer`, and as the model's part of a cache's key: other weights have another.
   * Not for people.
   */
  readonly model: string;
  readonly id: string;
  readonly revision: string;
  release(): void;
}

/** An image as the model sees it; valid with the engine and model that made it. */
export interface Sight {
  /** What made it, as in HeldModel. */
  readonly model: string;
  /** Pixels of the oriented image. */
  readonly size: Size;
  readonly timings: {
    readonly decodeMs: number;
    readonly pixelsMs: number;
    readonly visionMs: number;
  };
  /** [tokens, width] of the model. */
  readonly features: Float32Array;
}

export interface SightPrompt {
  readonly sight: Sight;
  readonly prompt: string;
  /** Of the answer: a group of locations that has begun is completed. */
  readonly locationGroup: LocationGroup | null;
  readonly options: GenerateOptions;
}

export interface EngineAnswer extends RawAnswer {
  readonly beams: number;
  readonly timings: {
    readonly encodeMs: number;
    readonly generateMs: number;
    readonly tokens: number;
  };
  readonly model: {
    readonly id: string;
    readonly revision: string;
    readonly precision: string;
    readonly executionProvider: string;
    readonly files: readonly { readonly path: string; readonly sha256: string }[];
  };
}
