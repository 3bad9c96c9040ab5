import type { Command } from "commander";
import { readConfig } from "../../adapters/config.ts";
import { modelPlaces } from "../../adapters/model-folders.ts";
import { AppError } from "../../core/errors.ts";
import { type Precisions, precisionsOf } from "../../inference/florence2/model-files.ts";
import { usageError } from "../failure.ts";
import { shortNames } from "../known-models.ts";
import { findModel, openLocalModels } from "../local-models.ts";
import { alignColumns } from "../print.ts";
import { openProgress } from "../progress.ts";
import { pullModel } from "../pull.ts";
import { wordOf } from "../task-options.ts";
import { howToMend, verifyModel } from "../verify-model.ts";

interface DataOption {
  readonly data?: string;
}

interface PullOptions extends DataOption {
  readonly revision: string;
  readonly precision: string;
  readonly endpoint?: string;
}

const dataOption = ["--data <dir>", "the data folder (default: .vedere)"] as const;

/** `vedere models`: which models there are, how to get more, and whether their files are whole. */
export function addModels(program: Command): void {
  const models = program.command("models").description("Lists, fetches and checks models.");
  models
    .command("list")
    .description("Lists the models of this machine; * marks the default.")
    .option("--json", "print one JSON array")
    .option(...dataOption)
    .action(list);
  models
    .command("pull")
    .description(
      `Fetches a model from the Hugging Face hub into DATA/models. An interrupted pull goes on where it stopped.\n\nShort names: ${shortNames.join(", ")}.`,
    )
    .argument("<name>", "a short name, or owner/name of a repository in the same ONNX layout")
    .option("--revision <name>", "a branch, tag or commit; it is pinned to its commit", "main")
    .option("--precision <name>", "fp32, fp16, q8, int8, uint8, q4, q4f16 or bnb4; or graph=name,… for each graph", "q8")
    .option(
      "--endpoint <url>",
      "a mirror of the hub (default: HF_ENDPOINT, else https://huggingface.co); HF_TOKEN opens private repositories",
    )
    .option(...dataOption)
    .action(pull);
  models
    .command("verify")
    .description("Checks checksums, and that all graphs open and have the inputs and outputs of Florence-2.")
    .argument("[id]", "one model; all where it is absent")
    .option(...dataOption)
    .action(verify);
}

async function list(options: DataOption & { readonly json?: true }): Promise<void> {
  const models = await (await openLocalModels(readConfig(undefined, { dataDir: options.data }))).list();
  if (options.json) return void process.stdout.write(`${JSON.stringify(models, null, 2)}\n`);
  for (const model of models) {
    process.stdout.write(`${model.isDefault ? "*" : " "} ${model.id}  ${model.precision}  revision ${model.revision}\n`);
    process.stdout.write(
      alignColumns([[model.description], [`tasks: ${model.tasks.map(wordOf).join(", ")}`], [model.folder]].map((line) => ["", ...line])),
    );
  }
}

async function pull(name: string, options: PullOptions): Promise<void> {
  const config = readConfig(undefined, { dataDir: options.data, hubEndpoint: options.endpoint });
  const hub = { endpoint: config.hubEndpoint, token: config.hubToken };
  const progress = openProgress((bytes) => `${(bytes / 1e6).toFixed(1)} MB`);
  let done = 0;
  try {
    const pulled = await pullModel(hub, {
      name,
      revision: options.revision,
      precisions: parsePrecisions(options.precision),
      into: modelPlaces(config).pulled,
      onFiles: (files) => progress.begin(files.reduce((sum, file) => sum + file.sizeBytes, 0)),
      onBytes(file, bytes) {
        done += bytes;
        progress.update(done, file.path);
      },
    });
    progress.stop();
    const found = pulled.isNew ? "is ready" : "was here already";
    process.stdout.write(`${pulled.id} ${found}: ${pulled.folder} (commit ${pulled.commit}).\n`);
  } finally {
    progress.stop();
  }
}

function parsePrecisions(text: string): Precisions {
  try {
    return precisionsOf(text);
  } catch (error) {
    if (error instanceof AppError) throw usageError(error.message, error.fix ?? "See `vedere models pull --help`.");
    throw error;
  }
}

async function verify(id: string | undefined, options: DataOption): Promise<void> {
  const models = await openLocalModels(readConfig(undefined, { dataDir: options.data }));
  const chosen = id === undefined ? await models.list() : [await findModel(models, id)];
  for (const info of chosen) {
    const { faults, hasChecksums } = await verifyModel(info);
    const checked = hasChecksums
      ? "checksums, graphs, inputs and outputs"
      : "graphs, inputs and outputs; there is no SHA256SUMS to compare with";
    process.stdout.write(
      `${faults.length === 0 ? "OK  " : "FAIL"}  ${info.id}  (${checked})\n${faults.map((fault) => `      ${fault}\n`).join("")}`,
    );
    if (faults.length > 0) {
      process.stderr.write(`fix: ${howToMend(info)}\n`);
      process.exitCode = 1;
    }
  }
}
