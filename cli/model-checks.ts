import type { Config } from "../adapters/config.ts";
import { connectModels } from "../adapters/connect.ts";
import { exactName } from "../core/model-names.ts";
import { reportLifetimeMs } from "../core/model-status.ts";
import type { HostedModel, WorkerReport } from "../core/ports.ts";
import { filesBytes } from "../inference/florence2/resident.ts";
import { type Finding, ok } from "./finding.ts";
import { findModel, openLocalModels } from "./local-models.ts";
import { danglingAliases } from "./model-list.ts";
import { modelMemoryMb } from "./model-memory.ts";
import { howToMend, verifyModel } from "./verify-model.ts";

/** The default model: whole, and not larger than what a worker may take. */
export async function checkModel(config: Config): Promise<Finding> {
  const info = await findModel(await openLocalModels(config), config.model);
  const { faults } = await verifyModel(info);
  if (faults.length > 0)
    return { status: "FAIL", detail: `${info.id}: ${faults.join("; ")}`, fix: howToMend(info) };
  const [sizeMb, memoryMb] = [Math.ceil((await filesBytes(info)) / 1e6), modelMemoryMb(config)];
  const detail = `${exactName(info)} (${info.precision}, ${sizeMb} MB of ${memoryMb} MB for models), ${info.folder}`;
  if (sizeMb > memoryMb)
    return {
      status: "FAIL",
      detail,
      fix: "Give workers more with VEDERE_MODEL_MEMORY_MB, or use a smaller precision.",
    };
  const isWished =
    config.precisions === null ||
    config.precisions.some((precision) => precision === info.precision);
  if (isWished) return ok(detail);
  return {
    status: "WARN",
    detail: `${detail}: not in ${config.precisions?.join(", ")}, as VEDERE_PRECISION asks`,
    fix: "Pull or build it in this precision.",
  };
}

/** Model folders that cannot be run, and aliases that lead nowhere. */
export async function checkModels(config: Config): Promise<Finding> {
  const { models, registry, close } = await connectModels(config);
  try {
    const [all, aliases] = [await models.list(), (await registry?.aliases()) ?? []];
    const broken = all.flatMap(({ folder, fault }) =>
      fault === null ? [] : [`${folder}: ${fault}`],
    );
    const dangling = danglingAliases(all, aliases).map(
      ({ name, target }) => `alias ${name}: there is no ${target} to run`,
    );
    const detail = `${all.length - broken.length} can be run, ${aliases.length} aliases`;
    if (broken.length + dangling.length === 0) return ok(detail);
    const fix =
      "Mend or remove the folders (`vedere models verify`), and lead the aliases elsewhere (`vedere models alias`).";
    return { status: "WARN", detail: [detail, ...broken, ...dangling].join("; "), fix };
  } finally {
    close();
  }
}

/** What workers said of their models within the last minute. */
export async function checkHosting(config: Config): Promise<Finding> {
  const { registry, clock, close } = await connectModels(config);
  try {
    const reports = (await registry?.reports(clock.now() - reportLifetimeMs)) ?? [];
    if (reports.length === 0) return ok("none reported within the last minute");
    const told = reports.flatMap(tell);
    const detail = [
      `${reports.length} reported within the last minute`,
      ...told.map(({ text }) => text),
    ].join("; ");
    if (!told.some(({ isOdd }) => isOdd)) return ok(detail);
    return {
      status: "WARN",
      detail,
      fix: "Mend what is said of the model, or correct VEDERE_EXECUTION_PROVIDERS.",
    };
  } finally {
    close();
  }
}

function tell({ workerId, models }: WorkerReport): { text: string; isOdd: boolean }[] {
  return models.map((hosted) => ({
    text: `${workerId}: ${textOf(hosted)}`,
    isOdd: hosted.message !== null,
  }));
}

function textOf(hosted: HostedModel): string {
  const where =
    hosted.executionProvider === null
      ? ""
      : ` on ${hosted.executionProvider}, ${Math.ceil(hosted.memoryBytes / 1e6)} MB`;
  return `${exactName(hosted)} ${hosted.state}${where}${hosted.message === null ? "" : ` (${hosted.message})`}`;
}
