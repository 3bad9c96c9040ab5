import { Command } from "commander";
import { packageVersion } from "../adapters/package-root.ts";
import { showExamples } from "./examples.ts";
import { report } from "./failure.ts";
import { leaveParent } from "./parent.ts";

type AddCommand = (program: Command, options: { debug: () => boolean }) => void;

/** The commands, in the order of the help. */
const commands: Readonly<Record<string, () => Promise<AddCommand>>> = {
  start: async () => (await import("./commands/start.ts")).addStart,
  gateway: async () => (await import("./commands/gateway.ts")).addGateway,
  link: async () => (await import("./commands/link.ts")).addLink,
  worker: async () => (await import("./commands/worker.ts")).addWorker,
  deliver: async () => (await import("./commands/deliver.ts")).addDeliver,
  analyze: async () => (await import("./commands/analyze.ts")).addAnalyze,
  models: async () => (await import("./commands/models.ts")).addModels,
  tenants: async () => (await import("./commands/tenants.ts")).addTenants,
  keys: async () => (await import("./commands/keys.ts")).addKeys,
  audit: async () => (await import("./commands/audit.ts")).addAudit,
  backup: async () => (await import("./commands/backup.ts")).addBackup,
  restore: async () => (await import("./commands/restore.ts")).addRestore,
  storage: async () => (await import("./commands/storage.ts")).addStorage,
  doctor: async () => (await import("./commands/doctor.ts")).addDoctor,
};

/**
 * The command that is named, alone: `vedere start` must not load what its processes load. All of
 * them if none is named: help lists them, and a mistyped name is compared with them.
 */
function loadCommands(args: readonly string[]): Promise<AddCommand[]> {
  const named = args.find((arg) => !arg.startsWith("-")) ?? "";
  const load = Object.hasOwn(commands, named) ? commands[named] : undefined;
  return Promise.all((load ? [load] : Object.values(commands)).map((each) => each()));
}

/** The command line with the commands that `args` may name. */
export async function buildProgram(args: readonly string[]): Promise<Command> {
  const program = new Command("vedere");
  const debug = () => program.opts<{ debug?: true }>().debug === true;

  program
    .description(
      "A vision API you host yourself: images in, typed GraphQL results out, answered by Florence-2.",
    )
    .version(packageVersion())
    .option("--debug", "show where an error happened")
    .exitOverride()
    .showHelpAfterError("fix: `vedere --help`, or `vedere <command> --help`, says what there is.")
    .addHelpText(
      "after",
      `
Examples, on sample images that come with it:
  $ vedere start
  $ vedere analyze models/samples/harbour.jpg
  $ vedere analyze models/samples --task detect-objects --task read-text --out annotated/
  $ vedere analyze models/samples/harbour.jpg --task ask --text "what is on the left?" --json
  $ vedere models pull florence-2-base-ft
  $ vedere doctor

Settings come from options, else from VEDERE_* variables. Exit codes: 0 done, 1 something failed, 2 wrong usage or settings.`,
    );
  for (const add of await loadCommands(args)) add(program, { debug });
  showExamples(program);
  return program;
}

/** Runs the command line; its exit code is in process.exitCode afterwards. */
export async function runCommandLine(): Promise<void> {
  const program = await buildProgram(process.argv.slice(2));
  try {
    await program.parseAsync();
  } catch (error) {
    process.exitCode = report(error, { debug: program.opts<{ debug?: true }>().debug === true });
  } finally {
    leaveParent();
  }
}
