import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const folder = join(import.meta.dirname, "../../cli");

test("every command in cli/commands can be reached from the command line", () => {
  const files = readdirSync(join(folder, "commands"));
  const sources = [
    join(folder, "program.ts"),
    ...files.map((file) => join(folder, "commands", file)),
  ];
  const text = sources.map((file) => readFileSync(file, "utf8")).join("\n");
  expect(files.length).toBeGreaterThan(8);
  for (const file of files) expect(text).toMatch(new RegExp(`"\\./(commands/)?${file}"`));
});
