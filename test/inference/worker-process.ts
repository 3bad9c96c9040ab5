// One worker process, for killed-worker.test.ts: works on the store of a data folder until it is
// killed.

import { readConfig } from "../../adapters/config.ts";
import { connect } from "../../adapters/connect.ts";
import { openEngine } from "../../inference/florence2/engine.ts";
import { runWorker } from "../../inference/worker.ts";

const ports = await connect(readConfig({}, { dataDir: process.argv.at(-1) }));
const engine = openEngine({ models: ports.models });
const signal = new AbortController().signal;
await runWorker(ports, engine, { signal, log: () => {}, leaseMs: 1_500, runsAtOnce: 8 });
