import type { Command } from "commander";
import { readConfig } from "../../adapters/config.ts";
import { modelPlaces, openModels } from "../../adapters/model-folders.ts";
import { measureStorage } from "../../adapters/storage.ts";
import { AppError } from "../../core/errors.ts";
import { type OperatorOptions, operatorOptions } from "../operate.ts";
import { awsStorageText, storageText } from "../storage-text.ts";

interface Options extends OperatorOptions {
  readonly tenants?: true;
  readonly seconds: string;
}

/** `vedere storage`: what takes how much. */
export function addStorage(program: Command): void {
  program
    .command("storage")
    .description("Says what takes how much of the disk, whether the service runs or not.")
    .option("--tenants", "runs and images of each tenant as well")
    .option("--seconds <n>", "how long to look, at most; 0: until all was seen", "30")
    .option(...operatorOptions.json)
    .option(...operatorOptions.data)
    .action(show);
}

async function show(options: Options): Promise<void> {
  const config = readConfig(undefined, { dataDir: options.data });
  const print = <Report>(report: Report, textOf: (report: Report) => string) =>
    process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : textOf(report));
  if (config.store === "aws") {
    if (options.tenants)
      throw new AppError("INVALID", "`--tenants` measures data folders; the store is AWS.", {
        fix: "Leave it out: a listing of each tenant's objects would cost as much as the store.",
      });
    const { measureAws } = await import("../../adapters/aws/aws-storage.ts");
    print(await measureAws(config), awsStorageText);
    return;
  }
  const deadline = performance.now() + secondsOf(options) * 1_000;
  const report = await measureStorage({
    dataDir: config.dataDir,
    models: await openModels(modelPlaces(config), async () => []).list(),
    isByTenant: options.tenants === true,
    hasTime: () => performance.now() < deadline,
  });
  print(report, storageText);
}

function secondsOf({ seconds }: Options): number {
  if (/^\d{1,6}$/.test(seconds)) return Number(seconds) || Number.POSITIVE_INFINITY;
  throw new AppError("INVALID", `${seconds} is no number of seconds.`, {
    fix: "Write a whole number, such as `--seconds 60`, or 0 for as long as it takes.",
  });
}
