import { describe, expect, test } from "vitest";
import type { Runs, StorageProbe } from "../../core/ports.ts";
import { newRun } from "../core/new-run.ts";

/** What every probe promises of its store, which is seen by two processes. */
export function probeContract(
  name: string,
  open: () => Promise<{
    probe: StorageProbe;
    elsewhere: StorageProbe;
    runs: Runs;
    close(): Promise<void>;
  }>,
): void {
  describe(`probe: ${name}`, () => {
    test("writes as often as it is asked, from several processes at once, and shows in no listing", async () => {
      const { probe, elsewhere, runs, close } = await open();
      for (let i = 0; i < 5; i += 1) await Promise.all([probe.write(), elsewhere.write()]);
      const { run } = await runs.create(newRun({}), null);
      const page = { first: 10, after: null, status: null };
      expect((await runs.list(run.tenantId, page)).runs).toEqual([run]);
      await close();
    });
  });
}
