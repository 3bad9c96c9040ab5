import { readdirSync, readFileSync } from "node:fs";
import { expect, test, vi } from "vitest";
import { scansBomb } from "../../bench/hostile-files.ts";
import { picture } from "../picture.ts";
import { startService } from "./service.ts";

const runCreate = `mutation ($input: RunCreateInput!) {
  runCreate(input: $input) { run { status image { width } } userErrors { code } }
}`;

/**
 * Processes that decode images for a service that was started on a data folder, by their use of the
 * processor in ticks of 10 ms.
 */
function decoderTicks(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        if (!readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("dist/images/decoder.js"))
          return [];
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        return [Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[11])];
      } catch {
        return []; // it has ended
      }
    });
}

test("an image that is being decoded when the service is stopped is still answered", async () => {
  const service = await startService({ workers: 0 });
  const input = (bytes: Buffer) => ({
    input: { source: { base64: bytes.toString("base64") }, tasks: [{ caption: {} }] },
  });
  await service.ask(runCreate, input(await picture()));
  const answer = service.ask<{ runCreate: object }>(
    runCreate,
    input(scansBomb({ side: 4_960, scans: 95 })),
  );
  await vi.waitFor(() => expect(Math.max(...decoderTicks())).toBeGreaterThan(40), {
    timeout: 20_000,
    interval: 10,
  });
  await Promise.all([
    service.stop(),
    expect(answer).resolves.toEqual({
      runCreate: { run: { status: "QUEUED", image: { width: 4_960 } }, userErrors: [] },
    }),
  ]);
});
