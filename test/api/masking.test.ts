import { expect, test } from "vitest";
import { buildGatewaySchema } from "../../api/schema.ts";
import { AppError } from "../../core/errors.ts";
import type { Ports } from "../../core/ports.ts";
import { mintKey, scopes } from "../../core/tenant.ts";
import { grantOf } from "../core/new-key.ts";
import { everyOperation } from "./every-field.ts";
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

const operations: readonly {
  name: string;
  query: string;
  fault(ports: Ports, error: unknown): Ports;
}[] = [
  {
    name: "viewer",
    query: "{ viewer { tenant { apiKeys { id } } } }",
    fault: (ports, error) => ({
      ...ports,
      tenants: { ...ports.tenants, keys: () => reject(error) },
    }),
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
  {
    name: "models",
    query: "{ models { id } }",
    fault: (ports, error) => ({ ...ports, models: { list: () => reject(error) } }),
  },
  {
    name: "runCancel",
    query: 'mutation { runCancel(input: { runId: "run_x" }) { userErrors { code } } }',
    fault: (ports, error) => ({ ...ports, runs: { ...ports.runs, get: () => reject(error) } }),
  },
  {
    name: "uploadsCreate",
    query: `mutation { uploadsCreate(input: { files: [{ byteSize: 1, sha256: "${"0".repeat(64)}" }] }) { userErrors { code } } }`,
    fault: (ports, error) => ({
      ...ports,
      images: { ...ports.images, createUpload: () => reject(error) },
    }),
  },
];

function reject(error: unknown): Promise<never> {
  return Promise.reject(error);
}

test.each(operations)(
  "whatever is thrown in $name, the answer has one shape and no foreign word",
  async ({ query, fault }) => {
    let error: unknown;
    const gateway = await startForTest({}, (ports) => lazily((cause) => fault(ports, cause)));
    function lazily(faulty: (cause: unknown) => Ports): Ports {
      return new Proxy(faulty(null), { get: (_target, name: keyof Ports) => faulty(error)[name] });
    }
    for (error of thrown) {
      const { status, headers, body } = await gateway.ask(query);
      expect(status).toBe(200);
      const [{ locations, path, ...shown }, ...others] = body.errors;
      expect(shown).toEqual({
        message: "Internal error",
        extensions: { code: "INTERNAL", requestId: headers.get("x-request-id") },
      });
      expect(others).toEqual([]);
      expect(JSON.stringify(body)).not.toContain("hunter2");
    }
    expect(gateway.logged.filter(({ level }) => level === "error").length).toBe(thrown.length);
  },
);

test("whatever is thrown in any port, by any query or mutation of the schema, nothing of it is told", async () => {
  let error: unknown;
  const gateway = await startForTest(
    {},
    (ports) => new Proxy(ports, { get: (target, name: keyof Ports) => faulty(name, target[name]) }),
  );
  /** Every function of a port throws, but those that the key is looked up with. */
  function faulty(port: keyof Ports, real: Ports[keyof Ports]): unknown {
    if (port === "clock" || typeof real !== "object" || real === null) return real;
    const isNeeded = (name: string) =>
      port === "tenants" && (name === "findKey" || (name === "get" && ++looked % 2 === 1));
    return new Proxy(real, {
      get: (target, name: string) =>
        isNeeded(name) ? Reflect.get(target, name) : () => reject(error),
    });
  }
  let looked = 0;
  const { text, key } = mintKey(grantOf("ada", { scopes }), gateway.secret, 0);
  await gateway.ports.tenants.createKey(key);
  const masked = new Set<string>();
  for (const { name, query } of everyOperation(buildGatewaySchema())) {
    for (error of thrown) {
      looked = 0;
      const { status, headers, body } = await gateway.ask(query, {}, `Bearer ${text}`);
      expect(status, `${query}: ${JSON.stringify(body)}`).toBe(200);
      expect(JSON.stringify(body)).not.toContain("hunter2");
      for (const { message, extensions } of body.errors ?? []) {
        expect({ message, extensions }).toEqual({
          message: "Internal error",
          extensions: { code: "INTERNAL", requestId: headers.get("x-request-id") },
        });
        masked.add(name);
      }
    }
  }
  const untouched = everyOperation(buildGatewaySchema()).filter(({ name }) => !masked.has(name));
  expect(untouched.map(({ name }) => name)).toEqual(["apiKeyReroll", "apiKeyRevoke"]); // they look up a key, and find none
});

test("a fault inside runCreate that the caller cannot mend is masked, not a userError", async () => {
  const gateway = await startForTest({}, (ports) => ({
    ...ports,
    images: { ...ports.images, put: () => reject(new Error("ENOSPC /secret/path")) },
  }));
  const { body } = await gateway.ask(runCreate, { input: await runInput() });
  expect(body.data).toBeNull();
  expect(body.errors).toMatchObject([
    { message: "Internal error", extensions: { code: "INTERNAL" } },
  ]);
  expect(
    JSON.stringify(gateway.logged, (_key, value) =>
      value instanceof Error ? value.message : value,
    ),
  ).toContain("ENOSPC");
});

test("a fault outside GraphQL is masked as well", async () => {
  const gateway = await startForTest({}, (ports) => ({
    ...ports,
    tenants: { ...ports.tenants, findKey: () => reject(new Error("hunter2")) },
  }));
  const { status, headers, body } = await gateway.ask("{ __typename }");
  expect(status).toBe(500);
  expect(body).toEqual({
    errors: [
      {
        message: "Internal error",
        extensions: { code: "INTERNAL", requestId: headers.get("x-request-id") },
      },
    ],
  });
});

test("a fault in the store is masked on the event stream too", async () => {
  const gateway = await startForTest({}, (ports) => ({
    ...ports,
    runs: { ...ports.runs, get: () => reject(new Error("hunter2")) },
  }));
  const { status, body } = await send(`${gateway.url}/graphql/stream`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${gateway.keys.ada}` },
    body: JSON.stringify({ query: 'subscription { runProgress(id: "run_x") { id } }' }),
  });
  expect(status).toBe(200);
  expect(body).toContain('"code":"INTERNAL"');
  expect(body).not.toContain("hunter2");
});
