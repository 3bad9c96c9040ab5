import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";

const root = join(import.meta.dirname, "../..");
const text = (file: string) => readFileSync(join(root, file), "utf8");

/** The instructions of a Dockerfile, continued lines joined, by stage. */
function stagesOf(file: string): { name: string; rest: string }[][] {
  const lines = text(file).replaceAll(/\\\n/g, " ").split("\n");
  const instructions = lines
    .map((line) => /^([A-Z]+) +(.*)$/.exec(line.trim()))
    .filter((match) => match !== null);
  const stages: { name: string; rest: string }[][] = [];
  for (const [, name = "", rest = ""] of instructions) {
    if (name === "FROM") stages.push([]);
    stages.at(-1)?.push({ name, rest });
  }
  return stages;
}

const cliText = readdirSync(join(root, "cli/commands"))
  .map((file) => text(`cli/commands/${file}`))
  .join("\n");
/** What the command line knows, from its sources. */
function expectCommand(args: readonly string[]): void {
  const [command = "", ...options] = args;
  expect(cliText).toContain(`.command("${command}")`);
  for (const option of options.filter((each) => each.startsWith("--")))
    expect(cliText, option).toContain(`"${option}`);
}

const settings = text("adapters/config.ts");
const expectSettings = (names: readonly string[]) => {
  for (const name of names) expect(settings, name).toContain(`"${name}"`);
};

describe.each(["inference/Dockerfile", "inference/Dockerfile.cpu"])("%s", (file) => {
  const stages = stagesOf(file);
  const last = stages.at(-1) ?? [];
  const of = (name: string) => last.filter((each) => each.name === name).map(({ rest }) => rest);

  test("builds in one stage and runs in another, both on pinned versions", () => {
    expect(stages).toHaveLength(2);
    for (const [from] of stages)
      expect(from?.rest).toMatch(
        /^(node:24-bookworm-slim|nvidia\/cuda:12\.\d+\.\d+-cudnn-runtime-ubuntu24\.04)( AS build)?$/,
      );
  });

  test("installs what the lock says, without the scripts of packages", () => {
    const installs = stages.flat().filter(({ rest }) => rest.includes("npm ci"));
    expect(installs.map(({ rest }) => rest)).toEqual(["npm ci --ignore-scripts"]);
  });

  test("runs as nobody in particular, and stops when asked to", () => {
    expect(of("USER")).toEqual(["10001"]);
    expect(of("STOPSIGNAL")).toEqual(["SIGTERM"]);
    expect(last.findIndex(({ name }) => name === "USER")).toBeLessThan(
      last.findIndex(({ name }) => name === "CMD"),
    );
  });

  test("says whether it is well, and looks at the machine before it takes runs", () => {
    expect(of("HEALTHCHECK")).toHaveLength(1);
    const [shell, , script = ""] = JSON.parse(of("CMD")[0] ?? "[]");
    expect(shell).toBe("sh");
    const commands = script.split("&&").map((each: string) =>
      each
        .trim()
        .replace(/^exec /, "")
        .split(" ")
        .slice(2),
    );
    expect(commands).toEqual([["doctor"], ["worker"]]);
    for (const command of commands) expectCommand(command);
    expect(script).toContain("exec node"); // else signals would end at the shell
  });

  test("copies what is there, and leaves out what no image should have", () => {
    const sources = stages
      .flat()
      .flatMap(({ name, rest }) =>
        name === "COPY" && !rest.includes("--from") ? rest.split(" ").slice(0, -1) : [],
      );
    for (const source of sources) expect(existsSync(join(root, source)), source).toBe(true);
    const fromBuild = of("COPY")
      .map((rest) => /\/app\/(\S+)/.exec(rest)?.[1] ?? "")
      .filter((path) => path.startsWith("models/"));
    for (const path of fromBuild) expect(existsSync(join(root, path)), path).toBe(true);
    const ignored = text(".dockerignore").split("\n");
    for (const path of [".git", "node_modules", "dist", "test", "bench", "**/.env", "**/*.key"])
      expect(ignored).toContain(path);
  });

  test("sets no secret, and nothing that the program does not know", () => {
    const variables = [
      ...last
        .map(({ name, rest }) => (name === "ENV" ? rest : ""))
        .join(" ")
        .matchAll(/\b([A-Z_]+)=/g),
    ].map((match) => match[1] ?? "");
    expect(variables.filter((name) => /SECRET|TOKEN|KEY|PASSWORD/.test(name))).toEqual([]);
    expectSettings(variables.filter((name) => name.startsWith("VEDERE_")));
  });
});

test("the worker for GPUs has ONNX Runtime's CUDA provider, and CUDA goes before the processor", () => {
  const [build = [], run = []] = stagesOf("inference/Dockerfile");
  const script = "node_modules/onnxruntime-node/script/install.js";
  expect(build.some(({ rest }) => rest.includes(script) && rest.includes("cuda12"))).toBe(true);
  expect(existsSync(join(root, script))).toBe(true);
  expect(run.some(({ rest }) => rest.includes("VEDERE_EXECUTION_PROVIDERS=cuda,cpu"))).toBe(true);
});

describe("compose.yaml", () => {
  interface Service {
    readonly command?: readonly string[];
    readonly environment?: Readonly<Record<string, string>>;
    readonly ports?: readonly string[];
    readonly [field: string]: unknown;
  }
  const { services }: { services: Record<string, Service> } = parse(text("compose.yaml"), {
    merge: true,
  });

  test("runs a gateway, two workers and a deliverer on one volume", () => {
    expect(Object.keys(services)).toEqual(["gateway", "worker", "deliverer"]);
    expect(services.worker?.deploy).toEqual({ replicas: 2 });
    for (const service of Object.values(services)) expect(service.volumes).toEqual(["data:/data"]);
  });

  test("gives none of them more than it needs", () => {
    for (const service of Object.values(services)) {
      expect(service).toMatchObject({
        read_only: true,
        cap_drop: ["ALL"],
        security_opt: ["no-new-privileges:true"],
        restart: "unless-stopped",
      });
      for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/);
    }
  });

  test("uses commands, options and settings that there are", () => {
    for (const { command, environment } of Object.values(services)) {
      if (command) expectCommand(command.slice(2));
      expectSettings(Object.keys(environment ?? {}));
    }
  });
});
