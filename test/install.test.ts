import { readFileSync } from "node:fs";
import { join } from "node:path";
import { minVersion, subset } from "semver";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..");

interface LockedPackage {
  readonly engines?: { readonly node?: string } | readonly string[];
  readonly hasInstallScript?: boolean;
  readonly resolved?: string;
}

const { packages }: { packages: Record<string, LockedPackage> } = JSON.parse(
  readFileSync(join(root, "package-lock.json"), "utf8"),
);
const locked = Object.entries(packages).filter(([place]) => place !== "");

test("every package runs on the oldest Node.js that README names, so that npm does not warn", () => {
  const { engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const oldest = minVersion(engines.node)?.version ?? "";
  expect(readFileSync(join(root, "README.md"), "utf8")).toContain("Node ≥ 20.19");
  expect(oldest).toBe("20.19.0");
  const tooNew = locked.filter(([, { engines: needs }]) => {
    const node = needs && "node" in needs ? needs.node : undefined;
    return node !== undefined && !subset(oldest, node);
  });
  expect(tooNew).toEqual([]);
});

test("no package downloads anything in a script when it is installed", () => {
  // onnxruntime-node's script fetches CUDA from NuGet. npm 11 leaves it out by `allowScripts`; npm
  // 10 runs only what the lock marks. If this fails, take hasInstallScript out of the lock again.
  const withScript = locked.filter(([, { hasInstallScript }]) => hasInstallScript);
  expect(withScript.map(([place]) => place)).toEqual([
    "node_modules/@apollo/protobufjs", // prints a hint
    "node_modules/esbuild", // looks whether its program starts
  ]);
});

test("the lock names no host to download from", () => {
  expect(locked.filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
});

test(".npmrc has only keys that every npm knows: an unknown one is a warning at each command", () => {
  const keys = readFileSync(join(root, ".npmrc"), "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split("=")[0]);
  expect(keys).toEqual(["fund", "audit"]);
});
