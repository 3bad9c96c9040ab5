import { foreignShare, readLoad } from "./processor.ts";
import { stagesOf, type Watch } from "./sessions.ts";
import type { Reply, Sample, SideSetup, Work } from "./side.ts";

/** Does one work and gives the answers' texts. */
export type Answerer = (work: Work) => Promise<string[]>;

/**
 * Opens a model in this process, then does the works that the parent process sends, one at a time,
 * until it disconnects.
 */
export async function serve(
  open: (setup: SideSetup) => Promise<{ answer: Answerer; watch: Watch }>,
): Promise<void> {
  const setup = JSON.parse(process.argv[2] ?? "{}") as SideSetup; // from side.ts
  const started = performance.now();
  const { answer, watch } = await open(setup);
  const send = (reply: Reply) => process.send?.(reply);
  process.on("message", async (work: Work) =>
    send({ sample: await sampleOf(answer, watch, work) }),
  );
  process.once("disconnect", () => {
    if (setup.profile !== null) watch.endProfiling();
    process.exit();
  });
  send({ loadedMs: performance.now() - started });
}

/** Does a work under the clock. */
export async function sampleOf(answer: Answerer, watch: Watch, work: Work): Promise<Sample> {
  watch.take();
  const before = readLoad();
  const texts = await answer(work);
  const after = readLoad();
  return {
    ms: after.wallMs - before.wallMs,
    foreignShare: foreignShare(before, after),
    stages: stagesOf(watch.take(), { start: before.wallMs, end: after.wallMs }),
    texts,
    rssMb: process.resourceUsage().maxRSS / 1024,
  };
}
