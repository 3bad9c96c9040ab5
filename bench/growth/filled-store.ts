import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readConfig } from "../../adapters/config.ts";
import { type Connection, connect } from "../../adapters/connect.ts";
import { createGateway, type Gateway } from "../../api/server.ts";
import { decodeWhole } from "../../images/decode-whole.ts";
import { copyRuns, type StoredRun } from "./copy-runs.ts";
import { graphqlRequest, makeSeed, type Seed } from "./seed.ts";

/** A gateway in this process on a data folder that holds so many finished runs. */
export interface FilledStore {
  readonly runs: number;
  readonly dataDir: string;
  readonly seed: Seed;
  readonly ports: Connection;
  /**
   * Sends an operation as the measured tenant; its data. Throws for any error, userErrors included.
   */
  ask(query: string, variables?: object): Promise<Data>;
  /** Any other request, to a path with a slash before it. Throws unless it is answered 200. */
  send(path: string, init?: RequestInit): Promise<string>;
  /** A stored run of the measured tenant, another one at each call, from all of its history. */
  next(): StoredRun;
  close(): Promise<void>;
}

// biome-ignore lint/suspicious/noExplicitAny: answers have many shapes, and a wrong path throws
export type Data = any;

/** Limits that are kept, so that they are looked up, and never met. */
const work = {
  unitsPerMonth: 999_999_999,
  unitsPerSecond: 100_000_000,
  burstUnits: 100_000_000,
  unfinishedRuns: 100_000_000,
};

/** One store of each size; all of them are copies of the same real run. */
export async function fillStores(sizes: readonly number[]): Promise<FilledStore[]> {
  const folder = mkdtempSync(join(tmpdir(), "vedere-growth-"));
  const seed = await makeSeed(join(folder, "seed"));
  const stores: FilledStore[] = [];
  let left = sizes.length;
  for (const runs of sizes) {
    const dataDir = join(folder, String(runs));
    cpSync(join(folder, "seed"), dataDir, { recursive: true });
    const stored = copyRuns(dataDir, seed, runs);
    const ports = await connect(readConfig({}, { dataDir, publicUrl: origin }));
    const gateway = await createGateway({
      ...{ ports, secret: ports.secret, publicUrl: origin, fetch: {}, work, graphiql: false },
      decode: decodeWhole,
      log: { info() {}, error: (fields, message) => console.error(message, fields) },
    });
    const close = async () => {
      await gateway.close();
      await ports.close();
      left -= 1;
      if (left === 0) rmSync(folder, { recursive: true });
    };
    let place = 0;
    const next = () => {
      const run = stored[place++ % stored.length];
      if (!run) throw new Error("The store is empty.");
      return run;
    };
    stores.push({ runs, dataDir, seed, ports, ...asking(gateway, seed), next, close });
  }
  return stores;
}

const origin = "http://127.0.0.1:1";

function asking(gateway: Gateway, seed: Seed): Pick<FilledStore, "ask" | "send"> {
  const send = async (path: string, init: RequestInit = {}) => {
    const request = new Request(`${origin}${path}`, init);
    const response = await gateway.handle(request, { address: "127.0.0.1" });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`${path} gave ${response.status}: ${text}`);
    return text;
  };
  return {
    send,
    async ask(query, variables = {}) {
      const text = await send("/graphql", graphqlRequest(seed, query, variables));
      if (/"errors":|"userErrors":\[\{/.test(text)) throw new Error(`${query}\n${text}`);
      return JSON.parse(text).data;
    },
  };
}
