import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import path from "node:path";
import { promisify } from "node:util";
import sharp from "sharp";
import type { Config } from "../adapters/config.ts";
import { connect } from "../adapters/connect.ts";
import { packageRoot } from "../adapters/package-root.ts";
import { listSupportedBackends, env as onnxRuntime } from "../inference/onnx-runtime.ts";
import { isDefault, isThere } from "./data-folder.ts";
import { checkDatabase } from "./database-check.ts";
import { type Finding, type HealthCheck, ok } from "./finding.ts";
import { checkHosting, checkModel, checkModels } from "./model-checks.ts";

/** All checks of `vedere doctor`, in the order in which they are told. */
export const healthChecks: readonly HealthCheck[] = [
  { name: "Node.js", look: async () => checkNode() },
  { name: "npm packages", look: async () => checkPackages() },
  { name: "ONNX Runtime", look: checkProviders },
  {
    name: "image library",
    look: async () => ok(`sharp ${sharp.versions.sharp}, libvips ${sharp.versions.vips}`),
  },
  { name: "model", look: checkModel },
  { name: "all models", look: checkModels },
  { name: "workers", look: checkHosting },
  { name: "data folder", look: checkStore },
  { name: "database", look: (config) => checkDatabase(config) },
  { name: "disk", look: checkDisk },
  { name: "port", look: checkPort },
];

const nodeMin = { major: 20, minor: 19 };
const disk = { failBytes: 100e6, warnBytes: 1e9 };
const run = promisify(execFile);

function checkNode(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const isNewEnough = major > nodeMin.major || (major === nodeMin.major && minor >= nodeMin.minor);
  if (isNewEnough) return ok(process.versions.node);
  return {
    status: "FAIL",
    detail: process.versions.node,
    fix: `Install Node.js ${nodeMin.major}.${nodeMin.minor} or later.`,
  };
}

function checkPackages(): Finding {
  const manifestFile = path.join(packageRoot(), "package.json");
  const manifest: { dependencies: Record<string, string> } = JSON.parse(
    readFileSync(manifestFile, "utf8"),
  ); // our own
  const { resolve } = createRequire(manifestFile);
  const names = Object.keys(manifest.dependencies);
  const missing = names.filter(
    (name) =>
      !resolve.paths(name)?.some((folder) => existsSync(path.join(folder, name, "package.json"))),
  );
  if (missing.length === 0) return ok(`all ${names.length} are there`);
  return { status: "FAIL", detail: `missing: ${missing.join(", ")}`, fix: "Run `npm ci`." };
}

/** A provider is tried in a process of its own: a broken driver may take its process down. */
async function checkProviders(config: Config): Promise<Finding> {
  const names = new Set([
    ...config.executionProviders,
    ...listSupportedBackends().map((backend) => backend.name),
  ]);
  const works = async (name: string) =>
    run(process.execPath, [process.argv[1] ?? "", "try-provider", name]).then(
      () => true,
      () => false,
    );
  const tried = await Promise.all(
    [...names].map(async (name) => ({ name, isUsable: await works(name) })),
  );
  const usable = tried.filter(({ isUsable }) => isUsable).map(({ name }) => name);
  const others = tried.filter(({ isUsable }) => !isUsable).map(({ name }) => name);
  const detail = `${onnxRuntime.versions.node ?? "?"}, usable here: ${usable.join(", ") || "nothing"}${others.length > 0 ? ` (not: ${others.join(", ")})` : ""}`;
  const broken = config.executionProviders.filter((name) => others.includes(name));
  if (broken.length === 0) return ok(detail);
  const fix = `VEDERE_EXECUTION_PROVIDERS names ${broken.join(", ")}: install its driver and libraries, or leave it out.`;
  const taken = config.executionProviders.find((name) => usable.includes(name));
  if (taken === undefined) return { status: "FAIL", detail: `${detail}; no model can run`, fix };
  const isFallback = taken !== config.executionProviders[0];
  return {
    status: "WARN",
    detail: isFallback ? `${detail}; models fall back to ${taken}` : detail,
    fix,
  };
}

/** Only opens a folder that is there: a doctor leaves nothing behind. */
async function checkStore(config: Config): Promise<Finding> {
  if (!isThere(config)) {
    const detail = `${config.dataDir} is made at the first start`;
    if (isDefault(config)) return ok(detail);
    return { status: "WARN", detail, fix: "If a service runs already, name its own folder." };
  }
  const ports = await connect(config);
  try {
    const { visible, inFlight, dead } = await ports.queue.depth();
    const place =
      config.store === "aws"
        ? `the table ${config.awsTable} in ${config.awsRegion}`
        : config.dataDir;
    const detail = `${place}: ${visible} runs wait, ${inFlight} are worked on, ${dead} were given up`;
    return dead === 0
      ? ok(detail)
      : {
          status: "WARN",
          detail,
          fix: "Workers died on these runs: look for the reason in their logs.",
        };
  } finally {
    await ports.close();
  }
}

async function checkDisk(config: Config): Promise<Finding> {
  let folder = config.dataDir;
  while (!existsSync(folder)) folder = path.dirname(folder);
  const { bavail, bsize } = await statfs(folder);
  const freeBytes = bavail * bsize;
  const detail = `${(freeBytes / 1e9).toFixed(1)} GB free at ${folder}`;
  if (freeBytes >= disk.warnBytes) return ok(detail);
  return {
    status: freeBytes < disk.failBytes ? "FAIL" : "WARN",
    detail,
    fix: "Free some space there, or choose another folder with --data.",
  };
}

async function checkPort({ host, port, publicUrl }: Config): Promise<Finding> {
  const code = await new Promise<string | null>((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen(port, host, () => server.close(() => resolve(null)));
  });
  if (code === null) return ok(`${port} of ${host} is free`);
  const isOurs = await fetch(`${publicUrl}/healthz`).then(
    (response) => response.ok,
    () => false,
  );
  if (isOurs) return ok(`${port} of ${host}: Vedere answers there already`);
  return {
    status: "WARN",
    detail: `${port} of ${host} cannot be had (${code})`,
    fix: "Choose another with --port or VEDERE_PORT.",
  };
}
