import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { readConfig } from "../../adapters/config.ts";
import { connect } from "../../adapters/connect.ts";
import { listen } from "../../api/http.ts";
import { createGateway, type GatewayOptions } from "../../api/server.ts";
import type { Ports } from "../../core/ports.ts";
import { mintKey } from "../../core/tenant.ts";
import { decodeWhole } from "../../images/decode-whole.ts";
import { grantOf } from "../core/new-key.ts";
import { picture } from "../picture.ts";

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests read answers of many shapes; a wrong path is undefined and fails the expectation
  readonly body: any;
}

export interface TestGateway {
  readonly url: string;
  /** Of the tenants ada and bob. */
  readonly keys: { readonly ada: string; readonly bob: string };
  readonly ports: Ports;
  readonly dataDir: string;
  /** The pepper of its API keys. */
  readonly secret: string;
  readonly logged: readonly {
    readonly level: string;
    readonly fields: object;
    readonly message: string;
  }[];
  /** POSTs an operation as ada, or with another Authorization header. */
  ask(query: string, variables?: object, authorization?: string | null): Promise<Answer>;
  close(): Promise<void>;
}

/**
 * A gateway over real HTTP on the embedded store in a fresh folder; no worker. `wrap` puts faults
 * into the ports that it sees.
 */
export async function startGateway(
  options: Partial<GatewayOptions> = {},
  wrap = (ports: Ports): Ports => ports,
): Promise<TestGateway> {
  const folder = await mkdtemp(join(tmpdir(), "vedere-api-"));
  const {
    secret,
    close: disconnect,
    ...ports
  } = await connect(readConfig({}, { dataDir: folder, publicUrl: "http://127.0.0.1:1" }));
  const keyOf = async (id: string) => {
    await ports.tenants.create({ id, name: id, createdAt: 0, disabledAt: null });
    const { text, key } = mintKey(grantOf(id), options.secret ?? secret, 0);
    await ports.tenants.createKey(key);
    return text;
  };
  const keys = { ada: await keyOf("ada"), bob: await keyOf("bob") };
  const logged: { level: string; fields: object; message: string }[] = [];
  const log = {
    info: (fields: object, message: string) => logged.push({ level: "info", fields, message }),
    error: (fields: object, message: string) => logged.push({ level: "error", fields, message }),
  };
  const port = options.graphiql ? await freePort() : 0; // the page knows its port
  const gateway = await createGateway({
    ports: wrap(ports),
    secret,
    publicUrl: options.graphiql ? `http://127.0.0.1:${port}` : "http://vedere.test",
    fetch: {},
    decode: decodeWhole,
    log,
    graphiql: false,
    ...options,
  });
  const server = await listen(gateway, { host: "127.0.0.1", port });
  const url = `http://127.0.0.1:${server.port}`;
  return {
    url,
    keys,
    ports,
    dataDir: folder,
    secret: options.secret ?? secret,
    logged,
    ask: (query, variables = {}, authorization = `Bearer ${keys.ada}`) =>
      send(`${url}/graphql`, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          ...(authorization !== null && { authorization }),
        },
        body: JSON.stringify({ query, variables }),
      }),
    async close() {
      await server.close(1_000);
      await disconnect();
      await rm(folder, { recursive: true });
    },
  };
}

/** A port that nobody listens on. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject).listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}

/** As startGateway, ended with the test that called it. */
export async function startForTest(...args: Parameters<typeof startGateway>): Promise<TestGateway> {
  const gateway = await startGateway(...args);
  onTestFinished(() => gateway.close());
  return gateway;
}

/** Sends a request and reads the answer; the body as JSON where it is JSON. */
export async function send(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, init);
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.includes("json") ?? false;
  return {
    status: response.status,
    headers: response.headers,
    body: isJson ? JSON.parse(text) : text,
  };
}

export const runCreate = `mutation Create($input: RunCreateInput!) {
  runCreate(input: $input) { run { id status image { id width height mediaType } } replayed userErrors { path code message fix } }
}`;

/** An input that is taken, unless a part of it is replaced. */
export async function runInput(parts: object = {}): Promise<object> {
  return {
    source: { base64: (await picture()).toString("base64") },
    tasks: [{ caption: {} }],
    ...parts,
  };
}
