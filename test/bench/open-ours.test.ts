import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildOurs } from "../../bench/base/build-ours.ts";
import { cases } from "../../bench/base/cases.ts";
import { writeCheckpoint } from "../../bench/base/checkpoint.ts";
import { openOurs } from "../../bench/base/open-ours.ts";
import { sampleOf } from "../../bench/base/serve.ts";
import { shapes } from "../../bench/base/shapes.ts";

let home: string;
let checkpoint: string;
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "vedere-ours-"));
  checkpoint = join(home, "checkpoint");
  const tokenizer = readFileSync("models/florence-2-nano/tokenizer.json", "utf8");
  await writeCheckpoint(checkpoint, { shape: shapes.tiny, seed: 1, tokenizer });
});
afterAll(() => rmSync(home, { recursive: true }));

test.each(["fp32", "int8"] as const)(
  "in %s a tiny random model answers with exactly as many tokens as are asked for, whatever the beams",
  async (precision) => {
    const model = await buildOurs({
      checkpoint,
      folder: join(home, precision),
      precision,
      reuse: false,
      say: () => {},
    });
    const photo = "models/samples/harbour.jpg";
    const ours = await openOurs({
      model,
      precision,
      pictures: { photo, exact: photo },
      library: "",
      profile: null,
    });
    try {
      const tokens = 40;
      for (const work of [cases.one.ours, cases.beams.ours]) {
        const { stages, texts, ms } = await sampleOf(ours.answer, ours.watch, { ...work, tokens });
        // The last token is forced, so that some decoder need not be run for it.
        expect([tokens - 1, tokens]).toContain(stages.tokenMs.length);
        expect(stages.visionMs).toBeGreaterThan(0);
        expect(stages.encodeMs).toBeGreaterThan(0);
        expect(ms).toBeGreaterThan(stages.visionMs + stages.encodeMs);
        expect(texts[0]).not.toBe("");
      }
    } finally {
      await ours.close();
    }
  },
);
