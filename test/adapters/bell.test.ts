import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Bell, openBell } from "../../adapters/bell.ts";

let folder: string;
let here: Bell;
let there: Bell;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vedere-bell-"));
  here = openBell(join(folder, "bells"));
  there = openBell(join(folder, "bells"));
});
afterEach(() => {
  here.close();
  there.close();
  rmSync(folder, { recursive: true });
});

test("a ring elsewhere is heard long before a listener would look by itself", async () => {
  const started = performance.now();
  for (let round = 1; round <= 10; round += 1) {
    let state = 0;
    const heard = here.wait("topic", () => (state === round ? round : null), { waitMs: 25_000 });
    state = round;
    there.ring("topic");
    expect(await heard).toBe(round);
  }
  expect(performance.now() - started).toBeLessThan(2_500); // by looking every 500 ms it would take 5 s
});

test("a change without any ring is found nevertheless", async () => {
  let looks = 0;
  expect(await here.wait("topic", () => (++looks > 1 ? looks : null), { waitMs: 25_000 })).toBe(2);
});

test("a ring that cannot be written is still heard in its own process", async () => {
  let changed = false;
  const heard = here.wait("topic", () => (changed ? "yes" : null), { waitMs: 25_000 });
  rmSync(join(folder, "bells"), { recursive: true });
  changed = true;
  here.ring("topic");
  expect(await heard).toBe("yes");
});

test("closing ends all waits, empty, without another look", async () => {
  let looks = 0;
  const waiting = here.wait("topic", () => (looks++ ? "too late" : null), { waitMs: 25_000 });
  here.close();
  expect(await waiting).toBeNull();
  expect(await here.wait("topic", () => "too late", { waitMs: 25_000 })).toBeNull();
});
