// One process of several on a data folder, for processes.test.ts: prints the secret it got, then
// takes messages until its input ends, then prints what it took.

import { readConfig } from "../../adapters/config.ts";
import { connect } from "../../adapters/connect.ts";

const ports = await connect(readConfig({}, { dataDir: process.argv.at(-1) }));
console.log(ports.secret);
const stop = new AbortController();
process.stdin.once("end", () => stop.abort()).resume();

const taken: string[] = [];
while (!stop.signal.aborted) {
  for (const lease of await ports.queue.receive({
    max: 3,
    waitMs: 25_000,
    leaseMs: 30_000,
    signal: stop.signal,
  })) {
    taken.push(lease.message.runId);
    await ports.queue.remove(lease);
  }
}
await ports.close();
console.log(JSON.stringify(taken));
