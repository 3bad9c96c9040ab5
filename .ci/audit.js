// Asks the registry for advisories on what a production install holds, and fails for one that is high or critical, unless
// audit-exceptions.json names it with a reason and an end. A registry that does not answer audits is said loudly, and is no failure.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

const exceptions = JSON.parse(
  readFileSync(process.argv[2] ?? new URL("audit-exceptions.json", import.meta.url), "utf8"),
);
const today = new Date().toISOString().slice(0, 10);
const wrong = exceptions.filter(
  ({ id, reason, until }) =>
    !/^GHSA(-[23456789cfghjmpqrvwx]{4}){3}$/.test(id ?? "") ||
    typeof reason !== "string" ||
    reason.trim() === "" ||
    !/^\d{4}-\d\d-\d\d$/.test(until ?? ""),
);
if (wrong.length > 0)
  end(
    1,
    `An exception needs an id (GHSA-…), a reason and until (YYYY-MM-DD): ${JSON.stringify(wrong)}`,
  );

const npm = spawnSync("npm", ["audit", "--omit=dev", "--json"], {
  encoding: "utf8",
  timeout: 120_000,
  maxBuffer: 64_000_000,
  shell: process.platform === "win32",
});
const report = parse(npm.stdout);
if (report?.auditReportVersion !== 2) {
  const reason = report?.message ?? npm.error?.message ?? npm.stderr.trim().split("\n")[0];
  end(
    0,
    `NOT AUDITED: the registry does not answer audits (${reason}). Run .ci/audit.js where it does.`,
    "!",
  );
}

// `via` holds advisories, and names of packages through which others are vulnerable.
const advisories = new Map(
  Object.values(report.vulnerabilities)
    .flatMap(({ via }) => via)
    .filter((each) => typeof each === "object")
    .map((each) => [each.url, each]),
);
const severe = [...advisories.values()].filter(({ severity }) =>
  /^(high|critical)$/.test(severity),
);
const open = severe.filter(
  ({ url }) => !exceptions.some(({ id, until }) => url.endsWith(`/${id}`) && today <= until),
);
for (const { name, severity, title, url, range } of severe) {
  const isOpen = open.some((each) => each.url === url);
  const known = exceptions.find(({ id }) => url.endsWith(`/${id}`));
  const word = isOpen
    ? known
      ? `excepted until ${known.until}, which is over`
      : "open"
    : "excepted";
  console.log(`${severity} ${name} ${range}: ${title} ${url} (${word})`);
}
if (open.length > 0)
  end(
    1,
    `Advisories without an exception: ${open.length}. Update the packages; SECURITY.md says how one is excepted.`,
  );
console.log(
  `audited: ${advisories.size} advisories, ${severe.length} high or critical, none of them open`,
);

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** @param {number} code @param {string} message @param {string} mark */
function end(code, message, mark = "") {
  const line = mark.repeat(100);
  console.error([line, message, line].filter((each) => each !== "").join("\n"));
  process.exit(code);
}
