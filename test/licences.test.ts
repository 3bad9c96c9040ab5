import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..");

/** SPDX ids that any package may have. SECURITY.md says the same. */
const allowed = [
  ...["0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BlueOak-1.0.0", "CC0-1.0", "ISC"],
  ...["MIT", "MIT-0", "Python-2.0", "Unlicense", "Zlib"],
];

/** What single packages may have as well. */
const special = [
  { licence: "LGPL-3.0-or-later", packages: /^@img\/sharp-/, isDev: false }, // libvips, linked dynamically
  { licence: "MPL-2.0", packages: /^lightningcss(-|$)/, isDev: true }, // used to run tests, not shipped
];

interface Locked {
  readonly license?: unknown;
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  readonly optional?: boolean;
}

const { packages }: { packages: Record<string, Locked> } = JSON.parse(
  readFileSync(join(root, "package-lock.json"), "utf8"),
);
const locked = Object.entries(packages)
  .filter(([place]) => place !== "")
  .map(([place, entry]) => ({ place, entry, name: place.replace(/^.*node_modules\//, "") }));

/**
 * Whether an SPDX expression may be used: of OR one side, of AND both.
 * https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions Exceptions (WITH), words and files
 * (SEE LICENSE IN …) are not taken.
 */
function isAllowed(expression: unknown, mayUse: (id: string) => boolean): boolean {
  if (typeof expression !== "string") return false;
  const tokens = expression.match(/[()]|[^\s()]+/g) ?? [];
  let at = 0;
  const one = (): boolean => {
    const token = tokens[at++];
    if (token !== "(") return token !== undefined && token !== ")" && mayUse(token);
    const inner = either();
    return tokens[at++] === ")" && inner;
  };
  const both = (): boolean => {
    let result = one();
    while (tokens[at] === "AND") {
      at += 1;
      const next = one();
      result = result && next;
    }
    return result;
  };
  const either = (): boolean => {
    let result = both();
    while (tokens[at] === "OR") {
      at += 1;
      const next = both();
      result = result || next;
    }
    return result;
  };
  const result = either();
  return result && at === tokens.length;
}

test.each([
  ["MIT", true],
  ["(MIT OR GPL-3.0-or-later)", true],
  ["(MIT AND GPL-3.0-or-later)", false],
  ["MIT AND (GPL-2.0-only OR ISC)", true],
  ["GPL-3.0-only", false],
  ["AGPL-3.0-only OR SSPL-1.0", false],
  ["UNLICENSED", false],
  ["SEE LICENSE IN LICENSE.txt", false],
  ["MIT WITH something", false],
  ["(MIT", false],
  ["", false],
  [undefined, false],
  [["MIT"], false],
])("of licences, %j is allowed: %j", (expression, expected) => {
  expect(isAllowed(expression, (id) => allowed.includes(id))).toBe(expected);
});

test("every package of the lock, of any platform, has a licence that SECURITY.md allows", () => {
  const refused = locked.filter(
    ({ entry, name }) =>
      !isAllowed(
        entry.license,
        (id) =>
          allowed.includes(id) ||
          special.some(
            ({ licence, packages: which, isDev }) =>
              licence === id &&
              which.test(name) &&
              (!isDev || entry.dev === true || entry.devOptional === true),
          ),
      ),
  );
  expect(locked.length).toBeGreaterThan(300);
  expect(refused.map(({ place, entry }) => `${place}: ${entry.license}`)).toEqual([]);
});

test("an installed package says itself what the lock says of it", () => {
  const installed = locked.filter(({ place }) => existsSync(join(root, place, "package.json")));
  const others = installed.filter(({ place, entry }) => {
    const own = JSON.parse(readFileSync(join(root, place, "package.json"), "utf8"));
    return own.license !== entry.license;
  });
  expect(installed.length).toBeGreaterThan(300);
  expect(others.map(({ place }) => place)).toEqual([]);
});

test("SECURITY.md names every licence that is allowed", () => {
  const text = readFileSync(join(root, "SECURITY.md"), "utf8");
  for (const id of [...allowed, ...special.map(({ licence }) => licence)])
    expect(text).toContain(`\`${id}\``);
});
