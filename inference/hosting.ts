import { AppError, asAppError } from "../core/errors.ts";
import { exactName, keyOf } from "../core/model-names.ts";
import type { HostedModel, ModelInfo } from "../core/ports.ts";
import { canceled, orAborted } from "./abort.ts";
import { loadFault, megabytes, tooLarge } from "./load-faults.ts";

/** A model in memory. */
export interface Resident {
  /** What it was measured to take. */
  readonly memoryBytes: number;
  readonly executionProvider: string;
  /**
   * What operators should know: that it runs on another execution provider than the preferred one.
   */
  readonly note: string | null;
  release(): Promise<void>;
}

/** Models in memory, within a budget. */
export interface Hosting<Model extends Resident> {
  /**
   * Gives a model, loading it if need be, for as long as the use is not released. All who want one
   * model share its load. Where memory is short, models that nobody uses give way, the one that was
   * used longest ago first; where all are in use this waits, and later calls behind it. Throws
   * AppError: MODEL_UNAVAILABLE with the reason (at once, for a while after a load that failed),
   * CANCELED.
   */
  take(info: ModelInfo, signal?: AbortSignal): Promise<Use<Model>>;
  /**
   * A use of a loaded model by its key, at once, for work that is part of another use; null where
   * it is not loaded.
   */
  join(key: string): Use<Model> | null;
  /** Those that are loaded. */
  residents(): readonly ModelInfo[];
  hasFailed(info: ModelInfo): boolean;
  hosted(): readonly HostedModel[];
  /**
   * Unloads the models that are not wanted, each as soon as nobody uses it, and forgets that they
   * failed.
   */
  keepOnly(isWanted: (info: ModelInfo) => boolean): void;
  /** Waits for the load in progress and unloads everything. */
  close(): Promise<void>;
}

export interface Use<Model> {
  readonly model: Model;
  /** May be called twice. */
  release(): void;
}

export interface HostingSetup<Model extends Resident> {
  readonly budgetBytes: number;
  /** The least that a model will take, from its files. */
  sizeOf(info: ModelInfo): Promise<number>;
  load(info: ModelInfo): Promise<Model>;
  /** Milliseconds since any instant. */
  now(): number;
  /** Called after every change of what `hosted` tells. */
  onChange(): void;
  warn(message: string, fields: Readonly<Record<string, unknown>>): void;
}

/**
 * After a load that failed, so long is it not tried again; twice as long after each further
 * failure.
 */
const backoff = { firstMs: 1_000, lastMs: 300_000 };

interface Entry<Model> {
  readonly info: ModelInfo;
  model: Model | null;
  loading: Promise<void>;
  failure: { readonly error: AppError; readonly retryAt: number } | null;
  failures: number;
  uses: number;
  /** Grows with every use that ends. */
  usedAt: number;
  /** What it is counted with, from when its load has room. */
  bytes: number;
  isWanted: boolean;
}

/** Loads come one after another: what each takes of memory is measured while it loads. */
export function openHosting<Model extends Resident>(setup: HostingSetup<Model>): Hosting<Model> {
  const entries = new Map<string, Entry<Model>>();
  const leaving = new Set<Entry<Model>>();
  let lastLoad: Promise<void> = Promise.resolve();
  let gate: Promise<void> | null = null; // while a load waits for memory that others use, uses that could make it wait for ever wait too
  let wake = () => {};
  let endedUses = 0;
  let isClosed = false;

  const isIdle = (entry: Entry<Model>) => entry.model !== null && entry.uses === 0;
  const takenBytes = () =>
    [...entries.values(), ...leaving].reduce((sum, { bytes }) => sum + bytes, 0);
  const longestIdle = () =>
    [...entries.values()].filter(isIdle).sort((a, b) => a.usedAt - b.usedAt)[0];

  async function take(info: ModelInfo, signal?: AbortSignal): Promise<Use<Model>> {
    for (;;) {
      throwIfStopped(signal);
      const entry = entries.get(keyOf(info)) ?? null;
      if (entry?.model && gate) {
        await orAborted(gate, signal);
        continue;
      }
      const wanted =
        entry && !(entry.failure && entry.failure.retryAt <= setup.now())
          ? entry
          : begin(info, entry?.failures ?? 0);
      if (wanted.failure) throw wanted.failure.error;
      const release = count(wanted);
      try {
        await orAborted(wanted.loading, signal);
      } catch (error) {
        release();
        if (asAppError(error).code !== "CANCELED" || signal?.aborted) throw error;
        continue; // a load that was given up a moment before this call came
      }
      if (wanted.model) return { model: wanted.model, release };
    }
  }

  function begin(info: ModelInfo, failures: number): Entry<Model> {
    const fresh = {
      model: null,
      failure: null,
      failures,
      uses: 0,
      usedAt: 0,
      bytes: 0,
      isWanted: true,
    };
    const entry: Entry<Model> = { info, ...fresh, loading: lastLoad };
    entries.set(keyOf(info), entry);
    entry.loading = lastLoad.then(() => load(entry));
    lastLoad = entry.loading.catch(() => undefined); // told to those who wait for it
    setup.onChange();
    return entry;
  }

  /** One use more; the function that comes back ends it. */
  function count(entry: Entry<Model>): () => void {
    entry.uses += 1;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      endedUses += 1;
      entry.uses -= 1;
      entry.usedAt = endedUses;
      if (isIdle(entry) && !entry.isWanted) void unload(entry);
      wake();
    };
  }

  async function load(entry: Entry<Model>): Promise<void> {
    try {
      throwIfStopped();
      const bytes = await setup.sizeOf(entry.info);
      if (bytes > setup.budgetBytes) throw tooLarge(entry.info, bytes, setup.budgetBytes);
      await findRoom(entry, bytes);
      entry.bytes = bytes;
      const model = await setup.load(entry.info);
      entry.bytes = Math.max(bytes, model.memoryBytes);
      entry.model = model;
      entry.failures = 0;
      entry.usedAt = endedUses;
      await makeUpFor(entry);
    } catch (error) {
      const fault = loadFault(entry.info, error);
      fail(entry, fault);
      throw fault;
    } finally {
      setup.onChange();
    }
  }

  async function findRoom(entry: Entry<Model>, bytes: number): Promise<void> {
    let openGate = () => {};
    try {
      while (takenBytes() + bytes > setup.budgetBytes) {
        throwIfStopped();
        if (entry.uses === 0) throw canceled();
        const idle = longestIdle();
        if (idle) await unload(idle);
        else {
          gate ??= new Promise((resolve) => {
            openGate = resolve;
          });
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      gate = null;
      openGate();
    }
  }

  /** A model that turned out larger than its files stays; idle ones go in its place. */
  async function makeUpFor(entry: Entry<Model>): Promise<void> {
    while (takenBytes() > setup.budgetBytes) {
      const idle = longestIdle();
      if (!idle || idle === entry) break;
      await unload(idle);
    }
    if (entry.bytes <= setup.budgetBytes) return;
    const sizes = { memoryMb: megabytes(entry.bytes), budgetMb: megabytes(setup.budgetBytes) };
    setup.warn("a model takes more memory than the budget", {
      model: exactName(entry.info),
      ...sizes,
    });
  }

  function fail(entry: Entry<Model>, error: AppError): void {
    entry.bytes = 0;
    if (error.code === "CANCELED" || isClosed) return void entries.delete(keyOf(entry.info));
    entry.failures += 1;
    const delayMs = Math.min(backoff.lastMs, backoff.firstMs * 2 ** (entry.failures - 1));
    entry.failure = { error, retryAt: setup.now() + delayMs };
    setup.warn("a model could not be loaded", {
      model: exactName(entry.info),
      reason: error.message,
      delayMs,
    });
  }

  /** Its memory counts until it is given back. */
  async function unload(entry: Entry<Model>): Promise<void> {
    entries.delete(keyOf(entry.info));
    leaving.add(entry);
    try {
      await entry.model?.release();
    } catch (error) {
      setup.warn("a model could not be unloaded", {
        model: exactName(entry.info),
        reason: String(error),
      });
    } finally {
      leaving.delete(entry);
      setup.onChange();
      wake();
    }
  }

  function throwIfStopped(signal?: AbortSignal): void {
    if (signal?.aborted) throw canceled();
    if (isClosed) throw new AppError("INTERNAL", "The engine is closed.");
  }

  return {
    take,
    join(key) {
      const entry = entries.get(key);
      return entry?.model ? { model: entry.model, release: count(entry) } : null;
    },
    residents: () => [...entries.values()].flatMap(({ model, info }) => (model ? [info] : [])),
    hasFailed: (info) => (entries.get(keyOf(info))?.failure ?? null) !== null,
    hosted: () => [...entries.values()].map(hostedOf),
    keepOnly(isWanted) {
      for (const [key, entry] of entries) {
        entry.isWanted = isWanted(entry.info);
        if (entry.isWanted) continue;
        if (isIdle(entry)) void unload(entry);
        else if (entry.failure) entries.delete(key);
      }
    },
    async close() {
      isClosed = true;
      wake();
      await lastLoad;
      await Promise.all([...entries.values()].map(unload));
    },
  };
}

function hostedOf({ info: { id, revision }, model, failure, bytes }: Entry<Resident>): HostedModel {
  const executionProvider = model?.executionProvider ?? null;
  const state = model ? "READY" : failure ? "FAILED" : "LOADING";
  return {
    id,
    revision,
    state,
    message: failure?.error.message ?? model?.note ?? null,
    executionProvider,
    memoryBytes: bytes,
  };
}
