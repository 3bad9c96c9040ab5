import type { Command } from "commander";
import { readConfig } from "../../adapters/config.ts";
import { restore } from "../../adapters/restore.ts";
import { AppError } from "../../core/errors.ts";
import { noteInFolder } from "../note-in-folder.ts";
import { type OperatorOptions, operatorOptions } from "../operate.ts";

/** `vedere restore`: puts a backup into a data folder on which no service runs. */
export function addRestore(program: Command): void {
  program
    .command("restore")
    .description("Checks a backup and puts it into a data folder on which no service runs.")
    .argument("<backup>", "a folder that `vedere backup` made")
    .option("--force", "move what the data folder holds aside, into a folder inside it")
    .option(...operatorOptions.json)
    .option(...operatorOptions.data)
    .action(putBack);
}

async function putBack(
  backup: string,
  options: OperatorOptions & { readonly force?: true },
): Promise<void> {
  const config = readConfig(undefined, { dataDir: options.data });
  if (config.store === "aws") {
    throw new AppError(
      "SETTING_INVALID",
      "`vedere restore` fills data folders; the store is AWS.",
      {
        fix: "Use the table's point-in-time recovery and the bucket's versions: docs/operations.md.",
      },
    );
  }
  const force = options.force === true;
  const { dataDir, manifest, formerly } = await restore({
    backup,
    dataDir: config.dataDir,
    force,
    now: Date.now(),
  });
  const { runs, images, createdAt } = manifest;
  noteInFolder(dataDir, "backup.restore", { backup, createdAt });
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ dataDir, runs, images, createdAt, formerly }, null, 2)}\n`
      : `${dataDir}: ${runs} runs and ${images} images, as they were at ${createdAt}.\n${formerly === null ? "" : `What was there lies in ${formerly}.\n`}`,
  );
}
