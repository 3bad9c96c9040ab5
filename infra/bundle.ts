import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";

/** The functions, by their files in infra/functions. */
export type FunctionName = "gateway" | "webhooks" | "sweeper" | "scaler";

/** The root of the package, from infra/ or from dist/infra/. */
export const root = fileURLToPath(
  new URL(import.meta.url.includes("/dist/infra/") ? "../.." : "..", import.meta.url),
);

/**
 * Writes a function as one script into a folder, with the SDL beside it, by the esbuild of this
 * machine. The gateway decodes images: its folder gets sharp for Linux on ARM from the npm
 * registry, unless `hasSharp` says that it is found otherwise.
 */
export function bundleFunction(
  name: FunctionName,
  folder: string,
  { hasSharp = false }: { hasSharp?: boolean } = {},
): void {
  buildSync({
    entryPoints: [join(root, "infra", "functions", `${name}.ts`)],
    outfile: join(folder, "index.mjs"),
    bundle: true,
    platform: "node",
    target: "node24",
    format: "esm",
    minify: true,
    sourcemap: true,
    sourcesContent: false,
    external: ["sharp"],
    // The code looks for its files from where it lies in the package; in the bundle all of it lies
    // in one folder below them.
    define: { "import.meta.url": "bundledAt" },
    banner: {
      js: [
        'import { createRequire } from "node:module";',
        "const require = createRequire(import.meta.url);",
        'const bundledAt = new URL("./bundle/index.mjs", import.meta.url).href;',
      ].join("\n"),
    },
    logLevel: "warning",
  });
  if (name === "gateway") bundleDecoder(folder);
  mkdirSync(join(folder, "schema"), { recursive: true });
  copyFileSync(join(root, "schema", "schema.graphql"), join(folder, "schema", "schema.graphql"));
  if (name === "gateway" && !hasSharp) installSharp(folder);
}

/** The program of the processes that decode images, where `images/decoder-process` looks for it. */
function bundleDecoder(folder: string): void {
  buildSync({
    entryPoints: [join(root, "images", "decoder.ts")],
    outfile: join(folder, "bundle", "decoder.js"),
    bundle: true,
    platform: "node",
    target: "node24",
    format: "cjs",
    minify: true,
    external: ["sharp"],
    logLevel: "warning",
  });
}

function installSharp(folder: string): void {
  const { version }: { version: string } = JSON.parse(
    readFileSync(join(root, "node_modules", "sharp", "package.json"), "utf8"),
  );
  const platform = ["--os=linux", "--cpu=arm64", "--libc=glibc"];
  const quiet = ["--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--loglevel=error"];
  execFileSync("npm", ["install", `sharp@${version}`, "--prefix", folder, ...platform, ...quiet], {
    stdio: ["ignore", "ignore", "inherit"],
  });
}
