import { afterAll, beforeAll, expect, test } from "vitest";
import { applyChange } from "../../core/lifecycle.ts";
import { limits } from "../../core/limits.ts";
import { picture } from "../picture.ts";
import { runCreate, runInput, startForTest, startGateway, type TestGateway } from "./start.ts";

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.close());

const create = async (parts: object = {}) =>
  (await gateway.ask(runCreate, { input: await runInput(parts) })).body.data.runCreate;
const refusals = async (parts: object) => {
  const { run, replayed, userErrors } = await create(parts);
  expect(run).toBeNull();
  expect(replayed).toBe(false);
  for (const each of userErrors)
    expect(each).toMatchObject({ message: expect.any(String), fix: expect.any(String) });
  return userErrors.map(
    ({ path, code }: { path: string[]; code: string }) => `${code} ${path.join(".")}`,
  );
};

test("a run is stored and enqueued", async () => {
  const before = await gateway.ports.queue.depth();
  const { run, replayed, userErrors } = await create({
    metadata: { order: 7 },
    expiresInSeconds: 60,
  });
  expect({ run, replayed, userErrors }).toEqual({
    run: {
      id: expect.stringMatching(/^run_\w{22}$/),
      status: "QUEUED",
      image: {
        id: expect.stringMatching(/^img_[a-z2-7]{26}$/),
        width: 320,
        height: 240,
        mediaType: "image/png",
      },
    },
    replayed: false,
    userErrors: [],
  });
  expect((await gateway.ports.queue.depth()).visible).toBe(before.visible + 1);
  const stored = await gateway.ports.runs.get("ada", run.id);
  expect(stored).toMatchObject({
    version: 1,
    attempt: 0,
    metadata: { order: 7 },
    tasks: [{ name: "CAPTION", input: { detail: "BRIEF" }, outcome: null }],
  });
  expect((stored?.expiresAt ?? 0) - (stored?.createdAt ?? 0)).toBe(60_000);
});

test("an image is stored once, and taken again by its id", async () => {
  const first = await create();
  const second = await create();
  expect(second.run.image.id).toBe(first.run.image.id);
  const third = await create({ source: { imageId: first.run.image.id } });
  expect(third.run.image).toEqual(first.run.image);
  const { body } = await gateway.ask(
    "query ($id: ID!) { node(id: $id) { ... on Image { sha256 byteSize width } } }",
    {
      id: first.run.image.id,
    },
  );
  expect(body.data.node).toEqual({
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    byteSize: (await picture()).length,
    width: 320,
  });
});

test("every task's input is kept with its defaults filled in", async () => {
  const { run } = await create({
    tasks: [
      { readText: {} },
      { describeRegion: { region: { x0: 0, y0: 0, x1: 9, y1: 9 } } },
      { detectObjects: { labels: ["box"], options: { beams: 1 } } },
    ],
  });
  const stored = await gateway.ports.runs.get("ada", run.id);
  expect(stored?.tasks.map(({ input }) => input)).toEqual([
    { regions: false },
    { region: { x0: 0, y0: 0, x1: 9, y1: 9, unit: "PIXEL" }, as: "DESCRIPTION" },
    { labels: ["box"], options: { beams: 1 } },
  ]);
});

test.each([
  [{ tasks: [] }, "INVALID input.tasks"],
  [{ tasks: Array.from({ length: 17 }, () => ({ caption: {} })) }, "INVALID input.tasks"],
  [{ waitMs: -1 }, "INVALID input.waitMs"],
  [{ waitMs: 60_001 }, "INVALID input.waitMs"],
  [{ expiresInSeconds: 0 }, "INVALID input.expiresInSeconds"],
  [{ expiresInSeconds: 86_401 }, "INVALID input.expiresInSeconds"],
  [{ idempotencyKey: "" }, "INVALID input.idempotencyKey"],
  [{ idempotencyKey: "x".repeat(256) }, "INVALID input.idempotencyKey"],
  [{ metadata: "x".repeat(8_192) }, "INVALID input.metadata"],
  [{ model: "florence-99" }, "MODEL_NOT_FOUND input.model"],
  [{ source: { imageId: "img_unknown" } }, "NOT_FOUND input.source.imageId"],
  [{ source: { uploadId: "upl_unknown" } }, "NOT_FOUND input.source.uploadId"],
  [{ source: { base64: "" } }, "INVALID input.source.base64"],
  [{ source: { base64: "AAA" } }, "INVALID input.source.base64"],
  [{ source: { base64: "AA\nAA===" } }, "INVALID input.source.base64"],
  [{ source: { base64: "_-__" } }, "INVALID input.source.base64"],
  [{ source: { base64: "data:image/png;base64,AAAA" } }, "INVALID input.source.base64"],
  [{ source: { base64: "A".repeat(6_666_672) } }, "SOURCE_TOO_LARGE input.source.base64"],
  [{ source: { url: "photo.jpg" } }, "INVALID input.source.url"],
  [{ source: { url: "ftp://example.com/photo.jpg" } }, "SOURCE_BLOCKED input.source.url"],
  [{ tasks: [{ segment: {} }] }, "INVALID input.tasks.0.segment"],
  [
    { tasks: [{ caption: {} }, { segment: { expression: "" } }] },
    "INVALID input.tasks.1.segment.expression",
  ],
  [
    { tasks: [{ segment: { expression: "x".repeat(10_000) } }] },
    "INVALID input.tasks.0.segment.expression",
  ],
  [
    { tasks: [{ segment: { region: { x0: 9, y0: 9, x1: 5, y1: 20 } } }] },
    "INVALID input.tasks.0.segment.region",
  ],
  [
    { tasks: [{ describeRegion: { region: { x0: 0, y0: 0, x1: 321, y1: 240 } } }] },
    "INVALID input.tasks.0.describeRegion.region",
  ],
  [
    {
      tasks: [{ describeRegion: { region: { x0: 0, y0: 0, x1: 1.5, y1: 1, unit: "NORMALIZED" } } }],
    },
    "INVALID input.tasks.0.describeRegion.region",
  ],
  [
    { tasks: [{ caption: { options: { beams: 9 } } }] },
    "INVALID input.tasks.0.caption.options.beams",
  ],
  [{ tasks: [{ ask: { question: "" } }] }, "INVALID input.tasks.0.ask.question"],
])("bad input is a userError with its place: %j", async (parts, expected) => {
  const [first = "", ...others] = await refusals(parts);
  expect(first).toContain(expected);
  expect(others).toEqual([]);
});

test("everything that is wrong is told at once", async () => {
  expect(await refusals({ waitMs: -1, expiresInSeconds: 0, tasks: [] })).toEqual([
    "INVALID input.tasks",
    "INVALID input.waitMs",
    "INVALID input.expiresInSeconds",
  ]);
  expect(
    await refusals({
      tasks: [{ ask: { question: "" } }, { caption: {} }, { caption: { options: { beams: 0 } } }],
    }),
  ).toEqual(["INVALID input.tasks.0.ask.question", "INVALID input.tasks.2.caption.options.beams"]);
});

test("an unknown model is answered with the ids there are", async () => {
  const { userErrors } = await create({ model: "florence-99" });
  const { body } = await gateway.ask("{ models { id isDefault } }");
  for (const { id } of body.data.models) expect(userErrors[0].fix).toContain(id);
  expect(
    body.data.models.filter(({ isDefault }: { isDefault: boolean }) => isDefault),
  ).toHaveLength(1);
});

test("a task that the model cannot do is told before the image is read", async () => {
  const other = await startForTest({}, (ports) => ({
    ...ports,
    models: {
      list: async () =>
        (await ports.models.list()).map((model) => ({ ...model, tasks: ["CAPTION"] as const })),
    },
  }));
  const input = {
    source: { url: "https://127.0.0.1/" },
    tasks: [{ caption: {} }, { detectObjects: {} }],
  };
  const { userErrors } = (await other.ask(runCreate, { input })).body.data.runCreate;
  expect(userErrors).toMatchObject([
    { code: "TASK_UNSUPPORTED", path: ["input", "tasks", "1", "detectObjects"] },
  ]);
});

test("metadata that nests too deep to be written is refused, and the gateway lives", async () => {
  const depth = 200_000;
  const input = JSON.stringify(await runInput()).replace(
    /}$/,
    `,"metadata":${"[".repeat(depth)}${"]".repeat(depth)}}`,
  );
  const response = await fetch(`${gateway.url}/graphql`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${gateway.keys.ada}` },
    body: `{"query":${JSON.stringify(runCreate)},"variables":{"input":${input}}}`,
  });
  expect(JSON.stringify(await response.json())).toContain("metadata");
  expect((await gateway.ask("{ __typename }")).status).toBe(200);
});

test("an idempotency key makes a retry safe", async () => {
  const first = await create({ idempotencyKey: "order-1", metadata: { a: 1, b: 2 } });
  const again = await create({ idempotencyKey: "order-1", metadata: { b: 2, a: 1 }, waitMs: 1 });
  expect(again).toMatchObject({ replayed: true, run: { id: first.run.id }, userErrors: [] });
  expect(await refusals({ idempotencyKey: "order-1", metadata: { a: 1, b: 3 } })).toEqual([
    "IDEMPOTENCY_MISMATCH input.idempotencyKey",
  ]);
  const other = await picture({ width: 64, height: 64 });
  expect(
    await refusals({
      idempotencyKey: "order-1",
      metadata: { a: 1, b: 2 },
      source: { base64: other.toString("base64") },
    }),
  ).toEqual(["IDEMPOTENCY_MISMATCH input.idempotencyKey"]);
});

test("ten requests with one key at once make one run and one message", async () => {
  const before = await gateway.ports.queue.depth();
  const all = await Promise.all(
    Array.from({ length: 10 }, () => create({ idempotencyKey: "order-2" })),
  );
  expect(new Set(all.map(({ run }) => run.id)).size).toBe(1);
  expect(all.filter(({ replayed }) => !replayed)).toHaveLength(1);
  expect((await gateway.ports.queue.depth()).visible).toBe(before.visible + 1);
});

test("waiting ends as soon as the run has finished", async () => {
  const started = performance.now();
  const created = create({ waitMs: 20_000, idempotencyKey: "waited-for" });
  const runId = await firstRunId("waited-for");
  await applyChange(gateway.ports, { tenantId: "ada", runId }, { type: "cancel" });
  expect((await created).run).toMatchObject({ id: runId, status: "CANCELED" });
  expect(performance.now() - started).toBeLessThan(10_000);
});

/** The run of a key, as soon as there is one. */
async function firstRunId(idempotencyKey: string): Promise<string> {
  const { run } = await create({ idempotencyKey });
  return run.id;
}

test("waiting ends after waitMs with the run as it is", async () => {
  const { run } = await create({ waitMs: 50 });
  expect(run.status).toBe("QUEUED");
});

test("too many unfinished runs are refused", async () => {
  const full = await startForTest({}, (ports) => ({
    ...ports,
    runs: { ...ports.runs, countUnfinished: async () => limits.unfinishedRunsMax },
  }));
  const { userErrors } = (await full.ask(runCreate, { input: await runInput() })).body.data
    .runCreate;
  expect(userErrors).toMatchObject([{ code: "QUEUE_FULL", path: ["input"] }]);
});

test("a run whose message could not be sent is kept for the sweeper, and told as created", async () => {
  const deaf = await startForTest({}, (ports) => ({
    ...ports,
    queue: { ...ports.queue, send: () => Promise.reject(new Error("queue down")) },
  }));
  const { run } = (await deaf.ask(runCreate, { input: await runInput() })).body.data.runCreate;
  expect(run.status).toBe("QUEUED");
  expect(await deaf.ports.runs.queued(Number.MAX_SAFE_INTEGER, 10)).toMatchObject([{ id: run.id }]);
  expect(deaf.logged).toContainEqual(
    expect.objectContaining({ level: "error", fields: expect.objectContaining({ runId: run.id }) }),
  );
});

test("many runs in one request stand and fall alone, in input order", async () => {
  const query =
    "mutation ($items: [RunCreateInput!]!) { runsCreate(input: { items: $items }) { items { run { status } userErrors { path code } } userErrors { path code } } }";
  const items = await Promise.all(
    Array.from({ length: 12 }, (_, i) => runInput(i === 7 ? { tasks: [] } : {})),
  );
  const { runsCreate } = (await gateway.ask(query, { items })).body.data;
  expect(runsCreate.userErrors).toEqual([]);
  expect(runsCreate.items.map(({ run }: { run: object | null }) => run !== null)).toEqual(
    items.map((_, i) => i !== 7),
  );
  expect(runsCreate.items[7].userErrors).toEqual([
    { path: ["input", "items", "7", "tasks"], code: "INVALID" },
  ]);
  const one = await runInput();
  for (const count of [0, 101]) {
    const { body } = await gateway.ask(query, {
      items: Array.from({ length: count }, () => ({ ...one, source: { imageId: "x" } })),
    });
    expect(body.data.runsCreate).toEqual({
      items: [],
      userErrors: [{ path: ["input", "items"], code: "INVALID" }],
    });
  }
});

test("a run is canceled once", async () => {
  const { run } = await create();
  const cancel = async (runId: string) =>
    (
      await gateway.ask(
        "mutation ($runId: ID!) { runCancel(input: { runId: $runId }) { run { id status tasks { error { code } } } userErrors { path code } } }",
        { runId },
      )
    ).body.data.runCancel;
  expect(await cancel(run.id)).toEqual({
    run: { id: run.id, status: "CANCELED", tasks: [{ error: { code: "CANCELED" } }] },
    userErrors: [],
  });
  expect(await cancel(run.id)).toMatchObject({
    run: { status: "CANCELED" },
    userErrors: [{ path: ["input", "runId"], code: "ALREADY_FINISHED" }],
  });
  expect(await cancel("run_unknown")).toEqual({
    run: null,
    userErrors: [{ path: ["input", "runId"], code: "NOT_FOUND" }],
  });
});

test("runs are listed newest first, in pages", async () => {
  const own = await startForTest();
  const ids: string[] = [];
  for (let i = 0; i < 5; i += 1)
    ids.unshift((await own.ask(runCreate, { input: await runInput() })).body.data.runCreate.run.id);
  const query =
    "query ($first: Int!, $after: String, $status: [RunStatus!]) { runs(first: $first, after: $after, status: $status) { edges { cursor node { id } } pageInfo { hasNextPage endCursor } } }";
  const seen: string[] = [];
  let after: string | null = null;
  for (const hasNextPage of [true, true, false]) {
    const {
      runs,
    }: {
      runs: {
        edges: { cursor: string; node: { id: string } }[];
        pageInfo: { hasNextPage: boolean; endCursor: string };
      };
    } = (await own.ask(query, { first: 2, after })).body.data;
    seen.push(...runs.edges.map(({ node }) => node.id));
    expect(runs.pageInfo).toEqual({ hasNextPage, endCursor: runs.edges.at(-1)?.cursor });
    after = runs.pageInfo.endCursor;
  }
  expect([...seen].sort()).toEqual([...ids].sort());
  expect((await own.ask(query, { first: 5, status: ["SUCCEEDED"] })).body.data.runs).toEqual({
    edges: [],
    pageInfo: { hasNextPage: false, endCursor: null },
  });
  for (const bad of [{ first: 0 }, { first: 101 }, { first: 1, after: "nonsense" }]) {
    expect((await own.ask(query, bad)).body.errors).toMatchObject([
      { extensions: { code: "INVALID", fix: expect.any(String) } },
    ]);
  }
});
