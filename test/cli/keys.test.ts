import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readConfig } from "../../adapters/config.ts";
import { connectTenants } from "../../adapters/connect.ts";
import { authenticate } from "../../api/context.ts";
import { vedere } from "./vedere.ts";

let data: string;
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), "vedere-cli-keys-"));
});
afterEach(() => rm(data, { recursive: true }));

const run = (...args: string[]) => vedere([...args, "--data", data]);

/** What the gateway says to a key: its scopes, or the code of the refusal. */
async function admitted(key: string): Promise<readonly string[] | string> {
  const ports = await connectTenants(readConfig({}, { dataDir: data }));
  try {
    return (await authenticate(`Bearer ${key.trim()}`, ports)).scopes;
  } catch (error) {
    return error instanceof Error && "code" in error
      ? String(error.code)
      : expect.unreachable(String(error));
  } finally {
    ports.close();
  }
}

test("an operator makes a tenant and a key, rerolls and revokes it, and the gateway obeys", async () => {
  const tenant = (await run("tenants", "create", "Grace & Co")).stdout.trim();
  expect(tenant).toMatch(/^ten_[0-9A-Za-z]{16}$/);
  const { stdout: key } = await run(
    "keys",
    "create",
    tenant,
    "--name",
    "shop",
    "--scopes",
    "runs_write,RUNS_READ",
    "--days",
    "30",
  );
  expect(await admitted(key)).toEqual(["RUNS_READ", "RUNS_WRITE"]);

  const { stdout: list } = await run("keys", "list", tenant);
  expect(list).toMatch(/^ {2}\w{22} {2}expires \S+Z {2}created \S+Z {2}\S*RUNS_READ\S* {2}shop\n$/);
  expect(list).toContain(key.slice(9, 31));
  expect(list).not.toContain(key.slice(31, 63));

  const { stdout: fresh } = await run("keys", "reroll", key.slice(9, 31), "--grace-seconds", "0");
  expect([await admitted(key), await admitted(fresh)]).toEqual([
    "UNAUTHENTICATED",
    ["RUNS_READ", "RUNS_WRITE"],
  ]);
  expect((await run("tenants", "disable", tenant)).stdout).toContain("disabled");
  expect(await admitted(fresh)).toBe("UNAUTHENTICATED");
  expect((await run("tenants", "enable", tenant)).stdout).toContain("enabled");
  expect(await admitted(fresh)).toEqual(["RUNS_READ", "RUNS_WRITE"]);
  expect((await run("keys", "revoke", fresh.slice(9, 31))).stdout).toContain("revoked");
  expect(await admitted(fresh)).toBe("UNAUTHENTICATED");
  const { stdout: json } = await run("keys", "list", tenant, "--json");
  expect(JSON.parse(json)).toHaveLength(2);
  expect(json).not.toContain("secretHash");
});

test("an operator limits a tenant, reads the limits and clears them", async () => {
  const tenant = (await run("tenants", "create", "Grace & Co")).stdout.trim();
  const set = ["--units-per-month", "5000", "--webhook-hosts", "hooks.example.com,*.b.test"];
  const { stdout } = await run("tenants", "limits", tenant, ...set, "--models-allowed", "");
  expect(stdout).toMatch(/units-per-month +5000\n/);
  expect(stdout).toMatch(/models-allowed +\(none\)\n/);
  expect(stdout).toMatch(/retention-days +\(the service's setting\)\n/);
  const clear = ["--clear", "units-per-month,models-allowed", "--retention-days", "30"];
  const { stdout: json } = await run("tenants", "limits", tenant, ...clear, "--json");
  expect(JSON.parse(json).limits).toMatchObject({
    ...{ unitsPerMonth: null, modelsAllowed: null, retentionDays: 30 },
    webhookHosts: ["hooks.example.com", "*.b.test"],
  });
  expect((await run("tenants", "limits", tenant)).stdout).toMatch(/retention-days +30\n/);
});

test.each([
  [["tenants", "limits", "ten_nobody"], "There is no such tenant."],
  [["tenants", "limits", "ten_nobody", "--retention-days", "0"], '"retentionDays": 0 is out of'],
  [["keys", "create", "ten_nobody"], "There is no such tenant."],
  [["keys", "list", "ten_nobody"], "There is no tenant ten_nobody."],
  [["keys", "revoke", "nothing"], "There is no such key."],
  [["keys", "create", "ten_nobody", "--scopes", "ALL"], "There is no scope ALL."],
  [["tenants", "disable", "ten_nobody"], "There is no such tenant."],
  [["tenants", "create", " "], "A name has 1 to 200 characters on one line."],
])("what cannot be done is said: %j", async (args, message) => {
  const { stdout, stderr, code } = await run(...args);
  expect(stdout).toBe("");
  expect(stderr).toContain(`error: ${message}`);
  expect(code).not.toBe(0);
});

test("tenants delete takes an id or a name, asks before it deletes, and tells how far it is", async () => {
  const tenant = (await run("tenants", "create", "Grace & Co")).stdout.trim();
  const { stdout: key } = await run("keys", "create", tenant, "--name", "shop");
  const refused = await run("tenants", "delete", "Grace & Co");
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toContain("--yes");
  expect(await admitted(key)).toEqual(expect.arrayContaining(["RUNS_READ"]));
  const { stdout } = await run("tenants", "delete", "Grace & Co", "--yes");
  expect(stdout).toMatch(/^ten_\w{16}: being deleted since \S+Z by the gateway/);
  expect(await admitted(key)).toBe("UNAUTHENTICATED");
  expect((await run("tenants", "list")).stdout).toContain("deleting since");
  expect((await run("tenants", "delete", tenant)).stdout).toContain("being deleted since");
  expect((await run("tenants", "enable", tenant)).stderr).toContain("cannot be taken back");
  expect((await run("tenants", "delete", "nobody", "--yes")).stderr).toContain("no tenant nobody");
});
