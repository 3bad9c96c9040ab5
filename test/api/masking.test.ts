import { expect, test } from "vitest";
import { AppError } from "../../core/errors.ts";
import type { Ports } from "../../core/ports.ts";
import { runCreate, runInput, send, startForTest } from "./start.ts";

/** What a broken dependency might throw. */
const thrown: unknown[] = [
  new Error("pg: password=hunter2"),
  new TypeError("hunter2 is not a function"),
  new AppError("INTERNAL", "hunter2"),
  new AppError("SETTING_INVALID", "hunter2"),
  Object.assign(new Error("hunter2"), { extensions: { code: "hunter2", http: { status: 418 } } }),
  "hunter2",
  { toString: () => "hunter2", extensions: { secret: "hunter2" } },
  null,
  undefined,
];

const operations: readonly { name: string; query: string; fault(ports: Ports, error: unknown): Ports }[] = [
  {
    name: "viewer",
    query: "{ viewer { tenant { apiKeys { id } } } }",
    fault: (ports, error) => ({ ...ports, tenants: { ...ports.tenants, keys: () => reject(error) } }),
  },
  {
    name: "run",
    query: '{ run(id: "run_x") { id } }',
    fault: (ports, error) => ({ ...ports, runs: { ...ports.runs, get: () => reject(error) } }),
  },
  {
    name: "runs",
    query: "{ runs { edges { cursor } } }",
    fault: (ports, error) => ({ ...ports, runs: { ...ports.runs, list: () => reject(error) } }),
  },
  { name: "models", query: "{ models { id } }", fault: (ports, error) => ({ ...ports, models: { list: () => reject(error) } }) },
  {
    name: "runCancel",
    query: 'mutation { runCancel(input: { runId: "run_x" }) { userErrors { code } } }',
    fault: (ports, error) => ({ ...ports, runs: { ...ports.runs, get: () => reject(error) } }),
  },
  {
    name: "uploadsCreate",
    query: `mutation { uploadsCreate(input: { files: [{ byteSize: 1, sha256: "${"0".repeat(64)}" }] }) { userErrors { code } } }`,
    fault: (ports, error) => ({ ...ports, images: { ...ports.images, createUpload: () => reject(error) } }),
  },
];

function reject(error: unknown): Promise<never> {
  return Promise.reject(error);
}

test.each(operations)("whatever is thrown in $name, the answer has one shape and no foreign word", async ({ query, fault }) => {
  let error: unknown;
  const gateway = await startForTest({}, (ports) => lazily((cause) => fault(ports, cause)));
  function lazily(faulty: (cause: unknown) => Ports): Ports {
    return new Proxy(faulty(null), { get: (_target, name: keyof Ports) => faulty(error)[name] });
  }
  for (error of thrown) {
    const { status, headers, body } = await gateway.ask(query);
    expect(status).toBe(200);
    const [{ locations, path, ...shown }, ...others] = body.errors;
    expect(shown).toEqual({ message: "Internal error", extensions: { code: "INTERNAL", requestId: headers.get("x-request-id") } });
    expect(others).toEqual([]);
    expect(JSON.stringify(body)).not.toContain("hunter2");
  }
  expect(gateway.logged.filter(({ level }) => level === "error").length).toBe(thrown.length);
});

test("a fault inside runCreate that the caller cannot mend is masked, not a userError", async () => {
  const gateway = await startForTest({}, (ports) => ({
    ...ports,
    images: { ...ports.images, put: () => reject(new Error("ENOSPC /secret/path")) },
  }));
  const { body } = await gateway.ask(runCreate, { input: await runInput() });
  expect(body.data).toBeNull();
  expect(body.errors).toMatchObject([{ message: "Internal error", extensions: { code: "INTERNAL" } }]);
  expect(JSON.stringify(gateway.logged, (_key, value) => (value instanceof Error ? value.message : value))).toContain("ENOSPC");
});

test("a fault outside GraphQL is masked as well", async () => {
  const gateway = await startForTest({}, (ports) => ({
    ...ports,
    tenants: { ...ports.tenants, findKey: () => reject(new Error("hunter2")) },
  }));
  const { status, headers, body } = await gateway.ask("{ __typename }");
  expect(status).toBe(500);
  expect(body).toEqual({
    errors: [{ message: "Internal error", extensions: { code: "INTERNAL", requestId: headers.get("x-request-id") } }],
  });
});

test("a fault in the store is masked on the event stream too", async () => {
  const gateway = await startForTest({}, (ports) => ({ ...ports, runs: { ...ports.runs, get: () => reject(new Error("hunter2")) } }));
  const { status, body } = await send(`${gateway.url}/graphql/stream`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${gateway.keys.ada}` },
    body: JSON.stringify({ query: 'subscription { runProgress(id: "run_x") { id } }' }),
  });
  expect(status).toBe(200);
  expect(body).toContain('"code":"INTERNAL"');
  expect(body).not.toContain("hunter2");
});
