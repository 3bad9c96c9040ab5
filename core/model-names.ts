import { AppError } from "./errors.ts";
import type { ModelAlias, ModelInfo } from "./ports.ts";

/** The name of one revision of a model: what an alias usually leads to. */
export function exactName({ id, revision }: Pick<ModelInfo, "id" | "revision">): string {
  return `${id}@${revision}`;
}

/** Names a model's weights: other files under the same id and revision have another key. */
export function keyOf(info: Pick<ModelInfo, "id" | "revision" | "stamp">): string {
  return `${exactName(info)}#${info.stamp}`;
}

/**
 * What a name may mean, the first being what it means: an alias its target alone; an id its
 * revisions, the newest first; `id@revision` that one. An alias goes before an id of the same name,
 * so that operators can pin what the id means. Models with a fault only where there is no sound
 * one; none where nothing has the name.
 */
export function findModels<Model extends NamedModel>(
  models: readonly Model[],
  name: string,
): readonly Model[] {
  const aliased = models.filter(({ aliases }) => aliases.includes(name));
  const matches =
    aliased.length > 0
      ? aliased
      : models.filter((model) => model.id === name || exactName(model) === name);
  const sound = matches.filter(({ fault }) => fault === null);
  return sound.length > 0 ? sound : matches;
}

/**
 * What a name means, or the default model where it is null. Throws AppError MODEL_NOT_FOUND,
 * MODEL_UNAVAILABLE where its files cannot be run.
 */
export function resolveModel(models: readonly ModelInfo[], name: string | null): ModelInfo {
  const model =
    name === null ? models.find(({ isDefault }) => isDefault) : findModels(models, name)[0];
  if (model?.fault === null) return model;
  const names = [
    ...new Set(
      models.filter(({ fault }) => fault === null).flatMap(({ id, aliases }) => [id, ...aliases]),
    ),
  ].join(", ");
  const fix = `Choose one of: ${names || "(none is installed)"}.`;
  if (model)
    throw new AppError(
      "MODEL_UNAVAILABLE",
      `The model ${exactName(model)} cannot be run. ${model.fault}`,
      { fix },
    );
  throw new AppError(
    "MODEL_NOT_FOUND",
    name === null ? "There is no default model." : `There is no model ${name}.`,
    { fix },
  );
}

/**
 * The models with the aliases that lead to them, through other aliases too; an alias that leads
 * nowhere, or in a circle, is with none.
 */
export function withAliases<Model extends Omit<NamedModel, "aliases">>(
  models: readonly Model[],
  aliases: readonly ModelAlias[],
): (Model & Pick<ModelInfo, "aliases">)[] {
  const bare = models.map((model) => ({ ...model, aliases: [] }));
  const targets = new Map(
    aliases.map(({ name, target }) => [name, finalTarget(aliases, target, name)]),
  );
  return models.map((model, i) => ({
    ...model,
    aliases: [...targets]
      .filter(([, target]) => target !== null && findModels(bare, target)[0] === bare[i])
      .map(([name]) => name),
  }));
}

/**
 * Where an alias of this name and target would lead in the end: an id or `id@revision`. An alias
 * may be named like an id and lead to one of its revisions. Null where it would lead in a circle.
 */
export function finalTarget(
  aliases: readonly ModelAlias[],
  target: string,
  name: string,
): string | null {
  const passed = new Set([name]);
  for (let at = target; ; ) {
    if (passed.has(at)) return null;
    passed.add(at);
    const next = aliases.find((alias) => alias.name === at);
    if (!next) return at;
    at = next.target;
  }
}

type NamedModel = Pick<ModelInfo, "id" | "revision" | "aliases" | "fault">;
