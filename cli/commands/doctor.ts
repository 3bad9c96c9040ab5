import path from "node:path";
import type { Command } from "commander";
import { type Config, readConfig } from "../../adapters/config.ts";
import { modelPlaces } from "../../adapters/model-folders.ts";
import { InferenceSession } from "../../inference/onnx-runtime.ts";
import { tellDatabaseFaults } from "../database-check.ts";
import { describeError } from "../failure.ts";
import type { Finding, HealthCheck } from "../finding.ts";
import { healthChecks } from "../health-checks.ts";
import { alignColumns } from "../print.ts";

interface DoctorOptions {
  readonly json?: true;
  readonly data?: string;
  readonly port?: string;
}

/**
 * `vedere doctor`: looks at everything the service stands on, and says how to mend what is wrong.
 */
export function addDoctor(program: Command): void {
  program
    .command("doctor")
    .description(
      "Checks this machine and the settings. Every line is OK, WARN or FAIL, with its fix; exits 1 where one is FAIL.",
    )
    .option("--json", "print one JSON array")
    .option("--data <dir>", "the data folder (default: .vedere)")
    .option("--port <number>", "the port to look at (default: 4000)")
    .action(examine);
  program.command("check-database", { hidden: true }).argument("<path>").action(tellDatabaseFaults);
  program.command("try-provider", { hidden: true }).argument("<name>").action(tryProvider);
}

async function examine(options: DoctorOptions): Promise<void> {
  const config = readConfig(undefined, { dataDir: options.data, port: options.port });
  const findings: (Finding & { readonly name: string })[] = [];
  for (const check of healthChecks)
    findings.push({ name: check.name, ...(await look(check, config)) });
  if (options.json) process.stdout.write(`${JSON.stringify(findings, null, 2)}\n`);
  else {
    const lines = findings.flatMap(({ name, status, detail, fix }) => [
      [status, name, detail],
      ...(fix ? [["", "", `fix: ${fix}`]] : []),
    ]);
    process.stdout.write(alignColumns(lines));
  }
  if (findings.some(({ status }) => status === "FAIL")) process.exitCode = 1;
}

async function look(check: HealthCheck, config: Config): Promise<Finding> {
  try {
    return await check.look(config);
  } catch (error) {
    const { message, fix } = describeError(error);
    return { status: "FAIL", detail: message, ...(fix === null ? {} : { fix }) };
  }
}

/** Opens the smallest graph there is on one execution provider; fails where that does not work. */
async function tryProvider(name: string): Promise<void> {
  const graph = path.join(modelPlaces(readConfig()).embedded, "onnx", "embed_tokens.onnx");
  const session = await InferenceSession.create(graph, { executionProviders: [name] });
  await session.release();
}
