import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readConfig } from "../../adapters/config.ts";
import { tasksFrom } from "../../cli/task-options.ts";
import { vedere } from "./vedere.ts";

/** Names that every object of JavaScript inherits: looked up in one, they seem to be there. */
const inherited = ["__proto__", "constructor", "toString", "hasOwnProperty"];

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "vedere-names-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe.each(inherited)("%s", (name) => {
  test("is no task", () => {
    expect(() => tasksFrom([name], {}, {})).toThrow(`There is no task ${name}.`);
  });

  test.each([
    "VEDERE_LOG_LEVEL",
    "VEDERE_STORE",
    "VEDERE_EXECUTION_PROVIDERS",
    "VEDERE_PORT",
    "VEDERE_FETCH_PRIVATE",
    "VEDERE_PRECISION",
  ])("is no value of %s", (variable) => {
    expect(() => readConfig({ [variable]: name }, { dataDir: folder })).toThrow(variable);
  });

  test("is neither a command nor an alias's target", async () => {
    const answers = await Promise.all([
      vedere([name]),
      vedere(["models", "alias", "fast", name, "--data", folder]),
    ]);
    for (const { code, stderr } of answers) {
      expect(code).toBeGreaterThan(0);
      expect(stderr).toMatch(/error: (unknown command|There is no model)/);
    }
  }, 90_000);
});

test("an alias may have such a name, and leads where it was led", async () => {
  for (const name of ["constructor", "__proto__"]) {
    const made = await vedere(["models", "alias", name, "florence-2-nano", "--data", folder]);
    expect([made.code, made.stdout]).toEqual([0, expect.stringContaining(`${name} → florence`)]);
    const ended = await vedere(["models", "unalias", name, "--data", folder]);
    expect(ended.code).toBe(0);
  }
  const { code, stderr } = await vedere(["models", "unalias", "toString", "--data", folder]);
  expect([code, stderr]).toEqual([1, expect.stringContaining("toString")]);
}, 120_000);
