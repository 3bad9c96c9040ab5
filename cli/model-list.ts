import { connectModels } from "../adapters/connect.ts";
import { exactName, finalTarget } from "../core/model-names.ts";
import { modelStatus, reportLifetimeMs } from "../core/model-status.ts";
import type { ModelAlias, ModelInfo } from "../core/ports.ts";
import { readModelConfig } from "./data-folder.ts";
import { alignColumns } from "./print.ts";
import { wordOf } from "./task-options.ts";

interface ListOptions {
  readonly data?: string;
  readonly json?: true;
}

/**
 * `vedere models list`: the models of this machine, broken ones too, what the workers do with them,
 * and their aliases.
 */
export async function listModels(options: ListOptions): Promise<void> {
  const { models, registry, clock, close } = await connectModels(
    readModelConfig({ dataDir: options.data }),
  );
  try {
    const reports = (await registry?.reports(clock.now() - reportLifetimeMs)) ?? [];
    const all = (await models.list()).map((model) => ({
      ...model,
      ...modelStatus(model, reports),
    }));
    if (options.json) return void process.stdout.write(`${JSON.stringify(all, null, 2)}\n`);
    for (const model of all) process.stdout.write(textOf(model));
    for (const alias of danglingAliases(all, (await registry?.aliases()) ?? []))
      process.stdout.write(`! ${alias.name} → ${alias.target}: there is no such model\n`);
  } finally {
    close();
  }
}

/** Aliases at whose end there is no model, or only broken ones. */
export function danglingAliases(
  models: readonly ModelInfo[],
  aliases: readonly ModelAlias[],
): ModelAlias[] {
  const sound = models.filter(({ fault }) => fault === null);
  const isThere = (name: string | null) =>
    sound.some((model) => model.id === name || exactName(model) === name);
  return aliases.filter(({ name, target }) => !isThere(finalTarget(aliases, target, name)));
}

function textOf(model: ModelInfo & ReturnType<typeof modelStatus>): string {
  const { status, reason, aliases, tasks, isDefault } = model;
  const lines = [
    model.description,
    ...(aliases.length > 0 ? [`aliases: ${aliases.join(", ")}`] : []),
    ...(tasks.length > 0 ? [`tasks: ${tasks.map(wordOf).join(", ")}`] : []),
    ...(reason === null ? [] : [reason]),
    model.folder,
  ];
  return `${isDefault ? "*" : " "} ${model.id}  ${model.precision}  revision ${model.revision}  ${status}\n${alignColumns(lines.map((line) => ["", line]))}`;
}
