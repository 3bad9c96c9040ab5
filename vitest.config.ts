import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: "forks", // onnxruntime-node and libsql are native: a crash must name one test file, not take the runner down
    maxWorkers: 2,
  },
});
