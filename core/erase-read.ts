import type { Ports } from "./ports.ts";

const batchMax = 100;

/**
 * Deletes runs that keep nothing and were read or delivered, or that nobody read in time, with
 * their pictures. `pause` is awaited before each; false ends the round. Returns how many were
 * deleted.
 */
export async function eraseRead(
  { runs, retention, clock }: Pick<Ports, "runs" | "retention" | "clock">,
  { pause }: { readonly pause: () => Promise<boolean> },
): Promise<number> {
  let erased = 0;
  for (const { tenantId, id } of await runs.erasable(clock.now(), batchMax)) {
    if (!(await pause())) break;
    if ((await retention.removeRun(tenantId, id)) === "removed") erased += 1;
  }
  return erased;
}
