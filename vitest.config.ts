import { defineConfig } from "vitest/config";

export default defineConfig({
  // Node gives everyone graphql's CommonJS build; Vite alone would take its ESM build, and two
  // copies do not know each other's types.
  resolve: { alias: [{ find: /^graphql$/, replacement: "graphql/index.js" }] },
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: "forks", // onnxruntime-node and libsql are native: a crash must name one test file, not take the runner down
    maxWorkers: 2,
    // On Node 20 the SDK announces the end of its support. What a deployment prints stays the SDK's
    // own.
    env: { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true" },
  },
});
