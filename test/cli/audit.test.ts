import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { vedere } from "./vedere.ts";

let data: string;
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), "vedere-cli-audit-"));
});
afterEach(() => rm(data, { recursive: true }));

const run = (...args: string[]) => vedere([...args, "--data", data]);

test("what operators do at the command line is listed, and exported as JSON lines", async () => {
  const tenant = (await run("tenants", "create", "Grace & Co")).stdout.trim();
  await run("keys", "create", tenant, "--name", "shop");
  await run("tenants", "disable", tenant);
  const { stdout } = await run("audit", "export", "--tenant", tenant);
  const entries = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(entries.map(({ action }) => action)).toEqual([
    "tenant.disable",
    "apiKey.create",
    "tenant.create",
  ]);
  for (const { actor } of entries) expect(actor).toMatchObject({ kind: "COMMAND_LINE" });
  const listed = await run("audit", "list", "--action", "tenant.create");
  expect(listed.stdout).toMatch(new RegExp(`tenant.create +${tenant} +by command line`));
  const none = await run("audit", "export", "--to", "2001-01-01");
  expect(none.stdout).toBe("");
});

test.each([
  ["--action", "tenant.paint"],
  ["--from", "yesterday"],
])("%s %s is wrong usage", async (...args) => {
  expect(await run("audit", "list", ...args)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("fix:"),
  });
});
