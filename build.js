// Builds dist/: the TypeScript compiler for the code, copies of the SDL and of ONNX's schema beside it, and one bundle for the GraphiQL page.
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, rmSync } from "node:fs";
import { build } from "esbuild";

rmSync("dist", { recursive: true, force: true });
execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"], {
  stdio: "inherit",
});
copyFileSync("schema/schema.graphql", "dist/schema/schema.graphql");
for (const file of ["onnx.proto", "NOTICE.md", "LICENSE-APACHE"]) {
  copyFileSync(`inference/build/onnx/${file}`, `dist/inference/build/onnx/${file}`);
}
chmodSync("dist/cli/main.js", 0o755);
await build({
  entryPoints: ["api/graphiql/page.jsx"],
  outfile: "dist/api/graphiql/page.js",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  define: { "process.env.NODE_ENV": '"production"' },
  loader: { ".woff2": "dataurl", ".woff": "dataurl", ".ttf": "dataurl" },
  logLevel: "warning",
});
