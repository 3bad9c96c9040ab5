import { readFileSync } from "node:fs";
import path from "node:path";
import { Command } from "commander";
import { packageRoot } from "../adapters/package-root.ts";
import { addAnalyze } from "./commands/analyze.ts";
import { addDeliver } from "./commands/deliver.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addKeys } from "./commands/keys.ts";
import { addModels } from "./commands/models.ts";
import { addStart } from "./commands/start.ts";
import { addTenants } from "./commands/tenants.ts";
import { addWorker } from "./commands/worker.ts";
import { report } from "./failure.ts";

/** Runs the command line; its exit code is in process.exitCode afterwards. */
export async function runCommandLine(): Promise<void> {
  const program = new Command("vedere");
  const debug = () => program.opts<{ debug?: true }>().debug === true;

  program
    .description(
      "A vision API you host yourself: images in, typed GraphQL results out, answered by Florence-2.",
    )
    .version(version())
    .option("--debug", "show where an error happened")
    .exitOverride()
    .showHelpAfterError("fix: `vedere --help`, or `vedere <command> --help`, says what there is.")
    .addHelpText(
      "after",
      `
Examples, on sample images that come with it:
  $ vedere start
  $ vedere analyze models/samples/park.jpg
  $ vedere analyze models/samples/*.jpg --task detect-objects --task read-text --out annotated/
  $ vedere analyze models/samples/park.jpg --task ask --text "how many objects are there?" --json
  $ vedere models pull florence-2-base-ft
  $ vedere doctor

Settings come from options, else from VEDERE_* variables. Exit codes: 0 done, 1 something failed, 2 wrong usage or settings.`,
    );
  addStart(program);
  addWorker(program);
  addDeliver(program);
  addAnalyze(program, { debug });
  addModels(program);
  addTenants(program);
  addKeys(program);
  addDoctor(program);
  try {
    await program.parseAsync();
  } catch (error) {
    process.exitCode = report(error, { debug: debug() });
  }
}

function version(): string {
  const manifest: unknown = JSON.parse(
    readFileSync(path.join(packageRoot(), "package.json"), "utf8"),
  );
  return typeof manifest === "object" && manifest !== null && "version" in manifest
    ? String(manifest.version)
    : "unknown";
}
