import { expect, test } from "vitest";
import { keyOf } from "../../core/model-names.ts";
import type { ModelInfo } from "../../core/ports.ts";
import { type Hosting, openHosting, type Resident } from "../../inference/hosting.ts";
import { newModel } from "../core/new-model.ts";

/**
 * A resident that says how large it is; when it loads, whether it can and what time it is are the
 * test's to say.
 */
interface Block extends Resident {
  readonly id: string;
}

interface Stage {
  readonly hosting: Hosting<Block>;
  /** What happened, in order: `+a` loaded, `-a` unloaded. */
  readonly events: string[];
  readonly warnings: string[];
  readonly broken: Set<string>;
  advance(ms: number): void;
}

function stage(budgetBytes: number, measured: (bytes: number) => number = (bytes) => bytes): Stage {
  const [events, warnings, broken]: [string[], string[], Set<string>] = [[], [], new Set()];
  let now = 0;
  const bytesOf = ({ description }: ModelInfo) => Number(description);
  const hosting = openHosting<Block>({
    budgetBytes,
    sizeOf: async (info) => bytesOf(info),
    async load(info) {
      if (broken.has(info.id)) throw new Error(`${info.id} is broken`);
      events.push(`+${info.id}`);
      const release = async () => void events.push(`-${info.id}`);
      return {
        id: info.id,
        memoryBytes: measured(bytesOf(info)),
        executionProvider: "cpu",
        note: null,
        release,
      };
    },
    now: () => now,
    onChange() {},
    warn: (message) => void warnings.push(message),
  });
  const advance = (ms: number) => {
    now += ms;
  };
  return { hosting, events, warnings, broken, advance };
}

const model = (id: string, bytes = 1, stamp = "") =>
  newModel({ id, description: String(bytes), stamp });
const [a, b, c] = [model("a"), model("b"), model("c")];

/** Loads a model and lets it go. */
async function visit({ hosting }: Stage, info: ModelInfo): Promise<void> {
  (await hosting.take(info)).release();
}

/** Whether a promise is settled once all that can go on has gone on. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  promise.finally(() => {
    settled = true;
  });
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
  return settled;
}

test("all who want a model at the same time share one load", async () => {
  const { hosting, events } = stage(9);
  const uses = await Promise.all([hosting.take(a), hosting.take(a), hosting.take(a)]);
  expect(events).toEqual(["+a"]);
  expect(new Set(uses.map((use) => use.model)).size).toBe(1);
});

test("where memory is short, the model that was used longest ago goes", async () => {
  const at = stage(2);
  for (const info of [a, b, a, c]) await visit(at, info);
  expect(at.events).toEqual(["+a", "+b", "-b", "+c"]);
  expect(at.hosting.hosted().map(({ id, state }) => `${id} ${state}`)).toEqual([
    "a READY",
    "c READY",
  ]);
});

test("a model in use stays, however short memory is: who wants another waits for its end", async () => {
  const at = stage(1);
  const first = await at.hosting.take(a);
  const second = at.hosting.take(b);
  expect(await isSettled(second)).toBe(false);
  expect(at.hosting.hosted().map(({ id, state }) => `${id} ${state}`)).toEqual([
    "a READY",
    "b LOADING",
  ]);
  first.release();
  await second;
  expect(at.events).toEqual(["+a", "-a", "+b"]);
});

test("a model that waits for memory is not passed for ever by those who use the one that has it", async () => {
  const at = stage(1);
  const first = await at.hosting.take(a);
  const second = at.hosting.take(b);
  expect(await isSettled(second)).toBe(false);
  const third = at.hosting.take(a);
  expect(await isSettled(third)).toBe(false);
  const part = at.hosting.join(keyOf(a)); // what is part of the first use goes on
  expect(part?.model.id).toBe("a");
  part?.release();
  first.release();
  (await second).release();
  expect(at.events).toEqual(["+a", "-a", "+b"]);
  await third;
  expect(at.events).toEqual(["+a", "-a", "+b", "-b", "+a"]);
});

test("a wait can be given up, and leaves nothing behind", async () => {
  const at = stage(1);
  const first = await at.hosting.take(a);
  const giveUp = new AbortController();
  const second = at.hosting.take(b, giveUp.signal);
  expect(await isSettled(second.catch(() => null))).toBe(false);
  giveUp.abort();
  await expect(second).rejects.toMatchObject({ code: "CANCELED" });
  expect(await isSettled(at.hosting.take(a))).toBe(true);
  expect(at.hosting.hosted().map(({ id }) => id)).toEqual(["a"]);
  first.release();
  expect(at.events).toEqual(["+a"]);
});

test("one who gives up leaves the load to the others", async () => {
  const at = stage(1);
  const first = await at.hosting.take(a);
  const giveUp = new AbortController();
  const second = at.hosting.take(b, giveUp.signal).catch((error: unknown) => error);
  const third = at.hosting.take(b);
  giveUp.abort();
  expect(await second).toMatchObject({ code: "CANCELED" });
  first.release();
  expect((await third).model.id).toBe("b");
});

test("a model that is larger than all memory for models is refused with both sizes", async () => {
  const at = stage(5e6);
  await visit(at, a);
  await expect(at.hosting.take(model("huge", 7e6))).rejects.toMatchObject({
    code: "MODEL_UNAVAILABLE",
    message: expect.stringMatching(/huge@1 .*7 MB.* 5 MB/),
    fix: expect.stringContaining("VEDERE_MODEL_MEMORY_MB"),
  });
  expect(at.events).toEqual(["+a"]);
});

test("a model that turns out larger than its files makes idle ones give way", async () => {
  const at = stage(30, (bytes) => 10 * bytes);
  for (const info of [a, b, c]) await visit(at, info);
  expect(at.events).toEqual(["+a", "+b", "+c"]);
  await visit(at, model("d"));
  expect(at.events).toEqual(["+a", "+b", "+c", "-a", "+d"]);
  expect(at.warnings).toEqual([]);
  await visit(at, model("e", 4));
  expect(at.events.slice(5).sort()).toEqual(["+e", "-b", "-c", "-d"]);
  expect(at.warnings).toEqual(["a model takes more memory than the budget"]);
});

test("a load that failed is told at once for a while, ever longer, and tried again then", async () => {
  const at = stage(9);
  at.broken.add("a");
  const failure = { message: expect.stringContaining("a is broken") };
  await expect(at.hosting.take(a)).rejects.toMatchObject(failure);
  at.broken.clear();
  await expect(at.hosting.take(a)).rejects.toMatchObject(failure);
  expect(at.warnings).toHaveLength(1);
  expect(at.hosting.hosted()).toMatchObject([{ id: "a", state: "FAILED", memoryBytes: 0 }]);
  expect(at.hosting.hasFailed(a)).toBe(true);
  at.advance(1_000);
  at.broken.add("a");
  await expect(at.hosting.take(a)).rejects.toMatchObject(failure);
  at.broken.clear();
  at.advance(1_999);
  await expect(at.hosting.take(a)).rejects.toMatchObject(failure);
  at.advance(1);
  expect((await at.hosting.take(a)).model.id).toBe("a");
  expect(at.hosting.hosted()).toMatchObject([{ id: "a", state: "READY" }]);
});

test("a load that fails leaves the others and their memory alone", async () => {
  const at = stage(2);
  at.broken.add("b");
  const use = await at.hosting.take(a);
  await expect(at.hosting.take(b)).rejects.toThrow();
  await visit(at, c);
  use.release();
  expect(at.events).toEqual(["+a", "+c"]);
});

test("other files under the same id and revision are another model", async () => {
  const at = stage(9);
  const [old, fresh] = [model("a", 1, "old"), model("a", 1, "fresh")];
  const held = await at.hosting.take(old);
  await visit(at, fresh);
  expect(at.events).toEqual(["+a", "+a"]);
  expect(at.hosting.join(keyOf(old))?.model).toBe(held.model);
});

test("what is not wanted any more goes when its last use ends, and what failed is forgotten", async () => {
  const at = stage(9);
  at.broken.add("c");
  const held = await at.hosting.take(a);
  await visit(at, b);
  await expect(at.hosting.take(c)).rejects.toThrow();
  at.hosting.keepOnly(() => false);
  expect(at.hosting.hosted().map(({ id }) => id)).toEqual(["a"]);
  expect(at.events).toEqual(["+a", "+b", "-b"]);
  held.release();
  held.release();
  expect(at.events).toEqual(["+a", "+b", "-b", "-a"]);
  expect(at.hosting.hosted()).toEqual([]);
});

test("closing unloads everything, and refuses what comes later", async () => {
  const at = stage(1);
  await at.hosting.take(a);
  const waiting = at.hosting.take(b).catch((error: unknown) => error);
  await at.hosting.close();
  expect(await waiting).toMatchObject({ message: expect.stringContaining("closed") });
  await expect(at.hosting.take(a)).rejects.toThrow("closed");
  expect(at.events).toEqual(["+a", "-a"]);
});
