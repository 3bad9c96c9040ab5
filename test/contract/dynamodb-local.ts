import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import {
  CreateTableCommand,
  DynamoDBClient,
  UpdateTimeToLiveCommand,
} from "@aws-sdk/client-dynamodb";
import { createTableInput, tableSchema } from "../../adapters/aws/dynamo-schema.ts";
import { awsConfig } from "./aws-emulators.ts";

/**
 * AWS's own DynamoDB Local, for tests only: it travels inside this npm package, and stays out of
 * the repository by its licence.
 */
const carrier = "amplify-dynamodb-simulator@2.9.30";
/** It is 57 MB. */
const fetchMsMax = 170_000;

const folder = join(homedir(), ".cache", "vedere", carrier.replace("@", "-"));

/**
 * Why DynamoDB Local cannot run here; null where it can. In CI that is a failure, elsewhere the
 * tests on it are skipped. It is fetched here, once for this machine, because tests are skipped
 * before they begin or not at all.
 */
export const dynamoDbIsMissing: string | null = (() => {
  const reason = whyMissing();
  if (reason === null) return null;
  if (process.env.CI) throw new Error(reason);
  console.warn(`${reason} Its tests are skipped.`);
  return reason;
})();

export interface DynamoDbLocal {
  readonly endpoint: string;
  readonly client: DynamoDBClient;
  /** A new table of ours, empty; gives its name. */
  createTable(): Promise<string>;
  stop(): Promise<void>;
}

/** Starts DynamoDB Local on a free port, all in memory. */
export async function startDynamoDb(): Promise<DynamoDbLocal> {
  const port = await freePort();
  const options = [
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-Djava.library.path=./DynamoDBLocal_lib",
    "-jar",
    "DynamoDBLocal.jar",
  ];
  const args = [...options, "-port", String(port), "-sharedDb", "-inMemory", "-disableTelemetry"];
  const emulator = spawn("java", args, { cwd: folder, stdio: "ignore" });
  const endpoint = `http://127.0.0.1:${port}`;
  const client = new DynamoDBClient({ ...awsConfig, endpoint });
  const stop = async () => {
    client.destroy();
    if (emulator.exitCode !== null) return;
    const ended = new Promise((resolve) => emulator.once("exit", resolve));
    emulator.kill("SIGKILL");
    await ended;
  };
  await untilAnswers(endpoint, emulator).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  let count = 0;
  return {
    endpoint,
    client,
    async createTable() {
      count += 1;
      const name = `vedere-${count}`;
      await client.send(new CreateTableCommand(createTableInput(name)));
      const TimeToLiveSpecification = { AttributeName: tableSchema.timeToLive, Enabled: true };
      await client.send(new UpdateTimeToLiveCommand({ TableName: name, TimeToLiveSpecification }));
      return name;
    },
    stop,
  };
}

function whyMissing(): string | null {
  if (spawnSync("java", ["-version"]).status !== 0)
    return "DynamoDB Local needs Java: install a JRE of version 17 (Debian: default-jre-headless).";
  try {
    fetchEmulator();
    return null;
  } catch (error) {
    return `DynamoDB Local could not be fetched: ${error instanceof Error ? error.message : error}`;
  }
}

/**
 * Several may fetch at once: each unpacks in a folder of its own, and the first one's takes the
 * place.
 */
function fetchEmulator(): void {
  if (existsSync(folder)) return;
  mkdirSync(dirname(folder), { recursive: true });
  const scratch = mkdtempSync(join(dirname(folder), "fetching-"));
  try {
    const pack = ["pack", carrier, "--pack-destination", scratch, "--loglevel", "error"];
    execFileSync("npm", pack, { stdio: ["ignore", "ignore", "pipe"], timeout: fetchMsMax });
    const archive = readdirSync(scratch).find((name) => name.endsWith(".tgz"));
    if (!archive) throw new Error(`npm pack ${carrier} left no archive.`);
    execFileSync("tar", ["xzf", join(scratch, archive), "-C", scratch, "package/emulator"]);
    renameSync(join(scratch, "package", "emulator"), folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function untilAnswers(endpoint: string, emulator: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt += 1) {
    if (emulator.exitCode !== null)
      throw new Error(`DynamoDB Local ended with ${emulator.exitCode}.`);
    const answers = await fetch(endpoint).then(
      () => true,
      () => false,
    );
    if (answers) return;
    await pause(100);
  }
  throw new Error("DynamoDB Local does not answer.");
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject).listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
