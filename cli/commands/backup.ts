import type { Command } from "commander";
import { backUp } from "../../adapters/backup.ts";
import { AppError } from "../../core/errors.ts";
import { readDataConfig } from "../data-folder.ts";
import { noteInFolder } from "../note-in-folder.ts";
import { type OperatorOptions, operatorOptions } from "../operate.ts";

/** `vedere backup`: a consistent copy of the data folder, while the service runs. */
export function addBackup(program: Command): void {
  program
    .command("backup")
    .description("Copies the data folder into a new folder, consistently, while the service runs.")
    .argument("<dir>", "a folder that does not exist yet")
    .option("--models", "copy the pulled and built models too")
    .option(...operatorOptions.json)
    .option(...operatorOptions.data)
    .action(copy);
}

async function copy(
  folder: string,
  options: OperatorOptions & { readonly models?: true },
): Promise<void> {
  const config = readDataConfig({ dataDir: options.data });
  if (config.store === "aws") {
    throw new AppError(
      "SETTING_INVALID",
      "`vedere backup` copies data folders; the store is AWS.",
      {
        fix: "Use the table's point-in-time recovery and the bucket's versions: docs/operations.md.",
      },
    );
  }
  const { manifest, faults, ...backup } = await backUp({
    dataDir: config.dataDir,
    folder,
    models: options.models === true,
    now: Date.now(),
  });
  noteInFolder(config.dataDir, "backup.create", { folder: backup.folder });
  const bytes = manifest.files.reduce((sum, { byteSize }) => sum + byteSize, 0);
  const { runs, images } = manifest;
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ folder: backup.folder, runs, images, bytes, faults }, null, 2)}\n`
      : `${backup.folder}: ${runs} runs, ${images} images, ${(bytes / 1e6).toFixed(1)} MB. It holds the service's secret: keep it as safe as the data folder.\n`,
  );
  if (faults.length === 0) return;
  process.stderr.write(
    `error: The backup was made, but ${faults.length} files of ${config.dataDir} are not whole:\n  ${faults.slice(0, 10).join("\n  ")}\nfix: Look for disk errors in the system's log. An earlier backup may hold these files.\n`,
  );
  process.exitCode = 1;
}
