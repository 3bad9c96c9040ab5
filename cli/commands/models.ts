import type { Command } from "commander";
import { connectModels } from "../../adapters/connect.ts";
import { modelPlaces } from "../../adapters/model-folders.ts";
import { auditEntry, commandLine } from "../../core/audit.ts";
import { AppError } from "../../core/errors.ts";
import { exactName, findModels } from "../../core/model-names.ts";
import { readModelConfig } from "../data-folder.ts";
import { shortNames } from "../known-models.ts";
import { findModel, openLocalModels } from "../local-models.ts";
import { removeAlias, setAlias } from "../model-aliases.ts";
import { listModels } from "../model-list.ts";
import { parsePrecisions } from "../precisions.ts";
import { openProgress } from "../progress.ts";
import { publishModel } from "../publish-model.ts";
import { pullModel } from "../pull.ts";
import { howToMend, verifyModel } from "../verify-model.ts";
import { addBuild } from "./build.ts";
import { addCompare } from "./compare.ts";

interface DataOption {
  readonly data?: string;
}

interface PullOptions extends DataOption {
  readonly revision: string;
  readonly precision: string;
  readonly endpoint?: string;
}

const dataOption = ["--data <dir>", "the data folder (default: .vedere)"] as const;

/**
 * `vedere models`: which models there are, how to get more, whether their files are whole, and how
 * alike they are.
 */
export function addModels(program: Command): void {
  const models = program
    .command("models")
    .description("Lists, fetches, builds, compares and checks models.");
  models
    .command("list")
    .description(
      "Lists the models of this machine, what the workers do with them, and their aliases; * marks the default.",
    )
    .option("--json", "print one JSON array")
    .option(...dataOption)
    .action(listModels);
  models
    .command("pull")
    .description(
      `Fetches a model from the Hugging Face hub into DATA/models. An interrupted pull goes on where it stopped.\n\nShort names: ${shortNames.join(", ")}.`,
    )
    .argument("<name>", "a short name, or owner/name of a repository in the same ONNX layout")
    .option("--revision <name>", "a branch, tag or commit; it is pinned to its commit", "main")
    .option(
      "--precision <name>",
      "fp32, fp16, q8, int8, uint8, q4, q4f16 or bnb4; or graph=name,… for each graph",
      "q8",
    )
    .option(
      "--endpoint <url>",
      "a mirror of the hub (default: HF_ENDPOINT, else https://huggingface.co); HF_TOKEN opens private repositories",
    )
    .option(...dataOption)
    .action(pull);
  models
    .command("alias")
    .description(
      "Lets a name lead to a model, from now on and for all workers: what clients ask for stays, what answers changes.",
    )
    .argument("<name>", "the alias")
    .argument("<target>", "an id, id@revision, or another alias")
    .option(...dataOption)
    .action(setAlias);
  models
    .command("unalias")
    .description("Removes an alias.")
    .argument("<name>")
    .option(...dataOption)
    .action(removeAlias);
  models
    .command("publish")
    .description(
      "Copies a model into the model bucket in AWS (VEDERE_AWS_MODEL_BUCKET), from where gateways and workers have it.",
    )
    .argument("<name>", "an id, id@revision or an alias")
    .option(...dataOption)
    .action(publish);
  addBuild(models);
  addCompare(models);
  models
    .command("verify")
    .description(
      "Checks checksums, and that all graphs open and have the inputs and outputs of Florence-2.",
    )
    .argument("[id]", "one model; all where it is absent")
    .option(...dataOption)
    .action(verify);
}

async function pull(name: string, options: PullOptions): Promise<void> {
  const config = readModelConfig({ dataDir: options.data, hubEndpoint: options.endpoint });
  const hub = { endpoint: config.hubEndpoint, token: config.hubToken };
  const progress = openProgress((bytes) => `${(bytes / 1e6).toFixed(1)} MB`);
  let done = 0;
  try {
    const pulled = await pullModel(hub, {
      name,
      revision: options.revision,
      precisions: parsePrecisions(options.precision, "pull"),
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

async function publish(name: string, options: DataOption): Promise<void> {
  const config = readModelConfig({ dataDir: options.data });
  const { openModelBucket } = await import("../../adapters/aws/open-aws.ts"); // the SDK takes a while to load
  const bucket = openModelBucket(config);
  if (!bucket)
    throw new AppError("SETTING_INVALID", "There is no model bucket.", {
      fix: "Name it in VEDERE_AWS_MODEL_BUCKET, with AWS_REGION.",
    });
  const info = await findModel(await openLocalModels(config), name);
  const onFile = (path: string, bytes: number) =>
    process.stdout.write(`${path} (${(bytes / 1e6).toFixed(1)} MB)\n`);
  const { id, revision } = info;
  const { audit, clock, close } = await connectModels(config, { isMade: true });
  try {
    // Before the change, so that there is none without an entry.
    await audit?.append(
      auditEntry({ clock, by: commandLine }, "model.publish", {
        subject: { type: "Model", id: exactName(info), tenantId: null },
        details: { bucket: bucket.name },
      }),
    );
    await publishModel(bucket, info, { now: clock.now(), onFile });
  } finally {
    close();
    bucket.client.destroy();
  }
  process.stdout.write(
    `${id}@${revision} is in ${bucket.name}: workers that start from now on have it.\n`,
  );
}

async function verify(id: string | undefined, options: DataOption): Promise<void> {
  const models = await openLocalModels(readModelConfig({ dataDir: options.data }));
  const all = await models.list();
  const [named] = id === undefined ? [] : findModels(all, id); // broken ones too: they are to be told why
  const chosen = id === undefined ? all : [named ?? (await findModel(models, id))];
  for (const info of chosen) {
    const { faults, hasChecksums } = await verifyModel(info);
    const checked = hasChecksums
      ? "checksums, graphs, inputs and outputs"
      : "graphs, inputs and outputs; there are no checksums to compare with";
    process.stdout.write(
      `${faults.length === 0 ? "OK  " : "FAIL"}  ${info.id}  (${checked})\n${faults.map((fault) => `      ${fault}\n`).join("")}`,
    );
    if (faults.length > 0) {
      process.stderr.write(`fix: ${howToMend(info)}\n`);
      process.exitCode = 1;
    }
  }
}
