import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";

const script = join(import.meta.dirname, "../.ci/audit.js");
const id = "GHSA-2222-3333-4444";

/** What a registry answers to POST /-/npm/v1/security/advisories/bulk, where it answers audits. */
function advisoryOn(name: string, severity: string) {
  const url = `https://github.com/advisories/${id}`;
  const scores = { cwe: ["CWE-400"], cvss: { score: 7.5, vectorString: null } };
  return {
    [name]: [
      { id: 1, url, title: "It falls over", severity, vulnerable_versions: "<999", ...scores },
    ],
  };
}

/**
 * Runs the script with the real npm on a registry of the test's own. `answer` null: it takes no
 * POST, as a mirror.
 */
async function audit(answer: object | null, exceptions: object[] = []) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    request.resume();
    if (request.method !== "POST") response.writeHead(404).end("{}");
    else if (answer === null) response.writeHead(405, { allow: "GET,HEAD" }).end();
    else response.end(JSON.stringify(answer));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const folder = mkdtempSync(join(tmpdir(), "vedere-audit-"));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true });
  });
  const file = join(folder, "exceptions.json");
  writeFileSync(file, JSON.stringify(exceptions));
  const env = {
    ...process.env,
    npm_config_registry: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    npm_config_cache: join(folder, "cache"),
    npm_config_fetch_retries: "0",
  };
  const ended = await promisify(execFile)(process.execPath, [script, file], { env }).then(
    ({ stdout, stderr }) => ({ code: 0, text: stdout + stderr }),
    ({ code, stdout, stderr }) => ({ code, text: stdout + stderr }),
  );
  return { ...ended, asked };
}

const long = 60_000;

test(
  "no advisory is no failure, and every production package was asked about",
  async () => {
    const { code, text, asked } = await audit({});
    expect([code, text]).toEqual([0, expect.stringContaining("audited: 0 advisories")]);
    expect(asked).toContain("POST /-/npm/v1/security/advisories/bulk");
  },
  long,
);

test(
  "a registry that does not answer audits is said loudly, and is no failure",
  async () => {
    const { code, text } = await audit(null);
    expect([code, text]).toEqual([0, expect.stringMatching(/!{20}\nNOT AUDITED: .*405/)]);
  },
  long,
);

test.each([
  ["high", 1],
  ["critical", 1],
  ["moderate", 0],
])(
  "an advisory that is %s ends with %i",
  async (severity, expected) => {
    const { code, text } = await audit(advisoryOn("undici", severity));
    expect(code).toBe(expected);
    if (expected === 1) expect(text).toContain(id);
  },
  long,
);

test(
  "an advisory on what only development needs is none",
  async () => {
    expect((await audit(advisoryOn("vitest", "critical"))).code).toBe(0);
  },
  long,
);

test("an exception holds until its end, for its advisory, and needs a reason", async () => {
  const reason = "No code of ours reaches it.";
  const high = advisoryOn("undici", "high");
  expect((await audit(high, [{ id, reason, until: "2999-01-01" }])).code).toBe(0);
  expect(await audit(high, [{ id, reason, until: "2020-01-01" }])).toMatchObject({
    code: 1,
    text: expect.stringContaining("which is over"),
  });
  const other = "GHSA-5555-6666-7777";
  expect((await audit(high, [{ id: other, reason, until: "2999-01-01" }])).code).toBe(1);
  expect((await audit({}, [{ id, until: "2999-01-01" }])).code).toBe(1);
}, 120_000);

test("CI runs it", () => {
  const ci = readFileSync(join(import.meta.dirname, "../.ci/run"), "utf8");
  expect(ci).toContain("\nnode .ci/audit.js\n");
});
