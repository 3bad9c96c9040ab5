import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openSqlite } from "../../adapters/sqlite.ts";
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

test("backups and restores are written down, in the folder that they concern", async () => {
  await run("tenants", "create", "Grace & Co");
  const copy = join(data, "..", `${basename(data)}-copy`);
  const restored = `${copy}-restored`;
  try {
    expect(await run("backup", copy)).toMatchObject({ code: 0, stderr: "" });
    expect(await vedere(["restore", copy, "--data", restored])).toMatchObject({ code: 0 });
    const last = async (folder: string) =>
      JSON.parse((await vedere(["audit", "export", "--data", folder])).stdout.split("\n")[0] ?? "");
    expect(await last(data)).toMatchObject({
      action: "backup.create",
      subject: { type: "DataFolder", id: data },
      details: { folder: copy },
    });
    expect(await last(restored)).toMatchObject({
      action: "backup.restore",
      subject: { id: restored },
      details: { backup: copy },
    });
  } finally {
    for (const folder of [copy, restored]) await rm(folder, { recursive: true, force: true });
  }
});

test("a backup of a folder whose log cannot be written is made all the same, and says so", async () => {
  await run("tenants", "create", "Grace & Co");
  const sqlite = openSqlite(join(data, "vedere.db"));
  sqlite.run(
    "CREATE TRIGGER full BEFORE INSERT ON audit_log BEGIN SELECT RAISE(ABORT, 'no room'); END",
  );
  sqlite.close();
  const copy = `${data}-copy`;
  try {
    const made = await run("backup", copy);
    expect(made.code).toBe(0);
    expect(made.stderr).toMatch(/^warning: The audit log of .+ has no entry of this: .*no room/);
  } finally {
    await rm(copy, { recursive: true });
  }
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
