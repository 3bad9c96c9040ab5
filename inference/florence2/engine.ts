import { AppError } from "../../core/errors.ts";
import { exactName, findModels, keyOf, resolveModel } from "../../core/model-names.ts";
import type { Engine, ModelInfo, Models } from "../../core/ports.ts";
import { restrictLoaders } from "../../images/loaders.ts";
import { type Hosting, openHosting, type Use } from "../hosting.ts";
import { answer } from "./answer.ts";
import { filesBytes, loadResident, type ResidentModel } from "./resident.ts";
import { see } from "./see.ts";

export interface EngineSetup {
  readonly models: Models;
  /**
   * Tried in order, and no other is: what is to fall back to the CPU names it last. Absent: the
   * CPU.
   */
  readonly executionProviders?: readonly string[];
  /** Of one operator; null or absent leaves them to ONNX Runtime. */
  readonly threads?: number | null;
  /** What the loaded models may take together; absent: no bound. */
  readonly memoryBytes?: number;
  /** Called after every change of what `hosted` tells. */
  readonly onChange?: () => void;
  /** Takes what operators should know: that a model failed, or runs where it was not meant to. */
  readonly warn?: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

/**
 * An engine for Florence-2 models. A model is loaded and warmed up when it is first asked for, and
 * stays loaded until memory is short, another revision takes its place, or `close`. Timings of what
 * went through a graph as one batch are those of the whole batch.
 *
 * Throws AppError: MODEL_NOT_FOUND, MODEL_UNAVAILABLE (what is missing, and the fix), MODEL_FAILED,
 * CANCELED, INVALID (a prompt longer than the model's positions).
 */
export function openEngine(setup: EngineSetup): Engine {
  const {
    models,
    executionProviders = ["cpu"],
    threads = null,
    onChange = () => {},
    warn = () => {},
  } = setup;
  const seenNames = new Set<string>(); // of models that were loaded: where one is gone, that is told
  const pinned = new Set<string>(); // keys of models that were asked for by their exact names
  restrictLoaders();

  const hosting = openHosting<ResidentModel>({
    budgetBytes: setup.memoryBytes ?? Number.POSITIVE_INFINITY,
    sizeOf: filesBytes,
    async load(info) {
      const resident = await loadResident(info, { executionProviders, threads });
      if (resident.note !== null)
        warn("a model runs on another execution provider than the preferred one", {
          model: exactName(info),
          note: resident.note,
        });
      return resident;
    },
    now: () => performance.now(),
    onChange,
    warn,
  });

  async function look(isFresh: boolean): Promise<ModelInfo[]> {
    const all = await models.list({ isFresh });
    hosting.keepOnly((info) =>
      isWanted(info, { models: all, hosting, isPinned: pinned.has(keyOf(info)) }),
    );
    return all;
  }

  /**
   * The models that a name or a key may mean, the first choice first. What is loaded goes on where
   * its folder is gone or broken.
   */
  async function candidates(name: string): Promise<readonly ModelInfo[]> {
    const listed = soundOf(await look(false), name);
    if (listed.length > 0) return listed;
    const loaded = soundOf([...hosting.residents()].reverse(), name);
    if (loaded.length > 0) return loaded;
    const all = await look(true); // it may have come a moment ago
    const fresh = soundOf(all, name);
    if (fresh.length > 0) return fresh;
    if (!seenNames.has(name) || findModels(all, name).length > 0) return [resolveModel(all, name)];
    throw new AppError("MODEL_UNAVAILABLE", `The files of the model ${name} are gone.`, {
      fix: "Put its folder back, or use another model.",
    });
  }

  /**
   * A revision that cannot be loaded leaves its id to the one before it; a name that means one
   * revision alone fails with it.
   */
  async function take(
    name: string,
    signal?: AbortSignal,
  ): Promise<{ info: ModelInfo; use: Use<ResidentModel> }> {
    let failure: unknown;
    for (const info of await candidates(name)) {
      if (name === exactName(info)) pinned.add(keyOf(info));
      try {
        const use = await hosting.take(info, signal);
        for (const known of [info.id, exactName(info), keyOf(info), ...info.aliases])
          seenNames.add(known);
        return { info, use };
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== "MODEL_UNAVAILABLE") throw error;
        failure ??= error;
      }
    }
    throw failure;
  }

  async function during<Result>(
    name: string,
    signal: AbortSignal | undefined,
    work: (model: ResidentModel, key: string) => Promise<Result>,
  ): Promise<Result> {
    const joined = hosting.join(name);
    const { info, use } = joined
      ? { info: joined.model.loaded.info, use: joined }
      : await take(name, signal);
    try {
      return await work(use.model, keyOf(info));
    } finally {
      use.release();
    }
  }

  return {
    async hold(name, signal) {
      const { info, use } = await take(name, signal);
      return { model: keyOf(info), id: info.id, revision: info.revision, release: use.release };
    },
    see: (model, images, signal) =>
      during(model, signal, async ({ loaded }, key) => {
        const seen = await see(loaded, images, signal);
        return seen.map((sight) => (sight instanceof Error ? sight : { ...sight, model: key }));
      }),
    async answer(model, prompts, signal, turn) {
      const [made = model, ...others] = new Set(prompts.map(({ sight }) => sight.model));
      if (others.length > 0)
        throw new AppError(
          "INTERNAL",
          "Images that different models saw cannot be asked about together.",
        );
      return during(made, signal, ({ loaded }) => answer(loaded, prompts, { signal, turn }));
    },
    hosted: () => hosting.hosted(),
    async tidy() {
      await look(false);
    },
    close: () => hosting.close(),
  };
}

/** By a name or a key. */
function soundOf(models: readonly ModelInfo[], name: string): readonly ModelInfo[] {
  const exact = models.filter((info) => keyOf(info) === name);
  return (exact.length > 0 ? exact : findModels(models, name)).filter(
    ({ fault }) => fault === null,
  );
}

/**
 * A loaded model is kept as long as a name leads to it; and where its files are gone, until another
 * takes its place.
 */
function isWanted(
  info: ModelInfo,
  {
    models,
    hosting,
    isPinned,
  }: { models: readonly ModelInfo[]; hosting: Hosting<ResidentModel>; isPinned: boolean },
): boolean {
  const ofId = findModels(models, info.id).filter(({ fault }) => fault === null);
  const listed = models.find((model) => keyOf(model) === keyOf(info));
  if (!listed || listed.fault !== null) return ofId.length === 0;
  if (hosting.hasFailed(info) || listed.isDefault || listed.aliases.length > 0 || isPinned)
    return true;
  const current = ofId.find((model) => !hosting.hasFailed(model));
  return current !== undefined && keyOf(current) === keyOf(info);
}
