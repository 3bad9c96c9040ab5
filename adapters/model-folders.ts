import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { AppError } from "../core/errors.ts";
import { exactName, findModels, resolveModel, withAliases } from "../core/model-names.ts";
import type { ModelAlias, ModelInfo, Models } from "../core/ports.ts";
import type { Config } from "./config.ts";
import {
  type FolderModel,
  type FolderState,
  lookAt,
  noneWhereMissing,
  readModelFolder,
} from "./model-folder.ts";
import type { PrecisionWish } from "./model-precision.ts";
import { packageRoot } from "./package-root.ts";
import { readAtMost } from "./read-at-most.ts";

/** Where the models are that `openModels` looks for. */
export interface ModelPlaces {
  /** The folder of the model that comes with the package. */
  readonly embedded: string;
  /** The folder that holds a folder of each pulled model. */
  readonly pulled: string;
  /** A name of the default model, where one was chosen. */
  readonly chosen: string | null;
  readonly wish: PrecisionWish;
}

export function modelPlaces(
  config: Pick<Config, "dataDir" | "model" | "precisions" | "executionProviders">,
): ModelPlaces {
  return {
    embedded: join(packageRoot(), "models", "florence-2-nano"),
    pulled: join(config.dataDir, "models"),
    chosen: config.model,
    wish: {
      precisions: config.precisions,
      executionProvider: config.executionProviders[0] ?? "cpu",
    },
  };
}

/**
 * So long may a listing be old: looking at every folder takes a millisecond or two, which requests
 * need not pay each.
 */
const lookEveryMs = 1_000;

/**
 * The models in folders, pulled ones by id, then the embedded one; folders that come, change and go
 * are seen. The default is the chosen model, else the first that has no fault. One broken folder
 * leaves the others alone: it is listed with its fault.
 */
export function openModels(
  places: ModelPlaces,
  aliases: () => Promise<readonly ModelAlias[]>,
): Models {
  const known = new Map<string, FolderModel>(); // by folder

  async function read(state: FolderState): Promise<FolderModel> {
    const former = known.get(state.folder);
    if (former?.stamp === state.stamp) return former;
    const model = Object.freeze(await readModelFolder(state, places.wish));
    known.set(state.folder, model);
    return model;
  }

  async function readAll(): Promise<FolderModel[]> {
    const [embedded, ...pulled] = await Promise.all(
      [places.embedded, ...(await foldersIn(places.pulled))].map(lookAt),
    );
    const found = await Promise.all(
      pulled
        .filter((state) => state !== null)
        .map(async (state) => ({ state, model: await read(state) })),
    );
    const sorted = found.sort(
      (a, b) => compare(a.model.id, b.model.id) || b.state.changedAt - a.state.changedAt,
    );
    return withoutTwins([
      ...sorted.map(({ model }) => model),
      ...(embedded ? [await read(embedded)] : []),
    ]);
  }

  const look = readAtMost(lookEveryMs, readAll);

  return {
    async list({ isFresh } = { isFresh: false }): Promise<ModelInfo[]> {
      const models = withAliases(await look(isFresh), await aliases());
      const sound = models.filter(({ fault }) => fault === null);
      const standard = places.chosen === null ? sound[0] : findModels(sound, places.chosen)[0];
      return models.map((model) => ({ ...model, isDefault: model === standard }));
    },
  };
}

/**
 * The default model. Throws AppError: MODEL_NOT_FOUND where it or any model is missing,
 * MODEL_UNAVAILABLE where the chosen one cannot be run.
 */
export async function requireDefault(models: Models, places: ModelPlaces): Promise<ModelInfo> {
  const all = await models.list({ isFresh: true });
  if (places.chosen !== null) return resolveModel(all, places.chosen);
  const standard = all.find(({ isDefault }) => isDefault);
  if (standard) return standard;
  const faults = all.map((model) => `${basename(model.folder)}: ${model.fault}`);
  const message = `There is no model that can be run, neither in ${places.pulled} nor in ${places.embedded}. ${faults.join(" ")}`;
  throw new AppError("MODEL_NOT_FOUND", message.trim(), {
    fix: "Fetch one with `vedere models pull`.",
  });
}

/** Hidden ones are downloads and builds in progress. */
async function foldersIn(place: string): Promise<string[]> {
  const names = await readdir(place).catch(noneWhereMissing);
  return names.filter((name) => !name.startsWith(".")).map((name) => join(place, name));
}

/**
 * Id and revision are a model's identity: of two folders that claim the same one, the first is
 * served.
 */
function withoutTwins(models: readonly FolderModel[]): FolderModel[] {
  return models.map((model, i) => {
    const twin = models
      .slice(0, i)
      .find((other) => other.fault === null && exactName(other) === exactName(model));
    if (!twin || model.fault !== null) return model;
    return {
      ...model,
      fault: `${exactName(model)} is in the folder ${basename(twin.folder)} too: remove one, or give it another revision in its vedere.json.`,
    };
  });
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
