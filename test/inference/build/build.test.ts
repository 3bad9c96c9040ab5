import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cp, mkdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Engine, EngineAnswer, Sight } from "../../../core/ports.ts";
import { type BuildSource, planBuild, writeBuild } from "../../../inference/build/build.ts";
import { openSafeTensors } from "../../../inference/build/safetensors.ts";
import { checkBatches } from "../../../inference/build/self-check.ts";
import { tokenAgreement } from "../../../inference/compare/agreement.ts";
import { interviewOptions } from "../../../inference/compare/observe.ts";
import { commonQuestions } from "../../../inference/compare/questions.ts";
import { openEngine } from "../../../inference/florence2/engine.ts";
import { precisionsOf } from "../../../inference/florence2/model-files.ts";
import { nano, nanoFolder, random } from "../florence2/fixtures.ts";
import { type Stored, writeSafeTensors } from "./write-safetensors.ts";

const settings = [
  "config.json",
  "tokenizer.json",
  "preprocessor_config.json",
  "generation_config.json",
];
const engines: Engine[] = [];
let place: string;

beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), "vedere-built-"));
});
afterAll(async () => {
  await Promise.all(engines.map((engine) => engine.close()));
  rmSync(place, { recursive: true });
});

/** An engine for the model in a folder, whose name is nano. */
function engineOn(folder: string, precision = "fp32"): Engine {
  const engine = openEngine({
    models: { list: async () => [{ ...nano, folder, precision }] },
    threads: 1,
  });
  engines.push(engine);
  return engine;
}

async function built(name: string, source: BuildSource, precision = "fp32"): Promise<Engine> {
  const folder = join(place, name);
  mkdirSync(folder);
  await writeBuild(await planBuild(source, precisionsOf(precision)), folder, () => {});
  return engineOn(folder, precision);
}

const whole: BuildSource = { checkpoint: nanoFolder, base: null };

/** Of the embedded model. */
async function storedWeights(): Promise<Record<string, Stored>> {
  const weights: Record<string, Stored> = {};
  for (const [name, tensor] of await openSafeTensors(nanoFolder))
    weights[name] = { dims: tensor.dims, values: await tensor.values() };
  return weights;
}

interface Line {
  readonly image: string;
  readonly task: string;
  readonly prompt: string;
}

/** Every sixth question of the held-out set, which are of all tasks. */
function heldOutQuestions(): Line[] {
  const folder = join(nanoFolder, "../evaluation");
  const lines: Line[] = readFileSync(join(folder, "tasks.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  return lines
    .filter((_, i) => i % 6 === 0)
    .map((line) => ({ ...line, image: join(folder, line.image) }));
}

interface Heard {
  readonly features: Float32Array;
  readonly answer: EngineAnswer;
}

async function hear(engine: Engine, questions: readonly Line[], beams = 1): Promise<Heard[]> {
  const images = [...new Set(questions.map(({ image }) => image))];
  const sights = await engine.see(
    "nano",
    images.map((image) => readFileSync(image)),
  );
  const sightOf = (image: string): Sight => {
    const sight = sights[images.indexOf(image)];
    if (!sight || sight instanceof Error) throw sight ?? new Error(image);
    return sight;
  };
  const asked = questions.map(({ image, prompt }) => ({
    sight: sightOf(image),
    prompt,
    locationGroup: null,
  }));
  const answers = await engine.answer(
    "nano",
    asked.map((question) => ({ ...question, options: { ...interviewOptions, beams } })),
  );
  return answers.flatMap((answer, i) => {
    const features = asked[i]?.sight.features;
    return features ? [{ features, answer }] : [];
  });
}

const texts = (heard: readonly Heard[]) => heard.map(({ answer }) => answer.text);
const tokensOf = ({ answer }: Heard) => answer.tokens.map(({ text }) => text);

function meanAgreement(a: readonly Heard[], b: readonly Heard[]): number {
  return (
    a.reduce((sum, one, i) => sum + tokenAgreement(tokensOf(one), b[i] ? tokensOf(b[i]) : []), 0) /
    a.length
  );
}

/** Largest difference ÷ largest value. */
function relativeError(wanted: readonly Heard[], given: readonly Heard[]): number {
  const errors = wanted.map(({ features }, i) => {
    const difference = features.reduce(
      (most, value, k) => Math.max(most, Math.abs(value - (given[i]?.features[k] ?? Number.NaN))),
      0,
    );
    return difference / features.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  });
  return Math.max(...errors);
}

describe("florence-2-nano, built from its own weights", () => {
  const questions = heldOutQuestions();
  let exact: Engine;
  let heard: Heard[];
  beforeAll(async () => {
    exact = await built("exact", whole);
    heard = await hear(exact, questions);
  });

  test("answers the held-out questions as its PyTorch-exported graphs do, but for the float16 that its weights are stored in", async () => {
    expect(questions.length).toBeGreaterThan(150);
    const wanted = await hear(engineOn(nanoFolder), questions);
    expect(relativeError(wanted, heard)).toBeLessThan(2e-3); // float16 rounds by up to 2^-11 = 5e-4
    expect(meanAgreement(wanted, heard)).toBeGreaterThan(0.97);
    const same = texts(wanted).filter((text, i) => text === heard[i]?.answer.text).length;
    expect(same / questions.length).toBeGreaterThan(0.85);
  });

  test("answers in batches as it does alone", async () => {
    const interview = {
      questions: commonQuestions(["CAPTION", "DETECT_OBJECTS"]),
      options: { ...interviewOptions, maxTokens: 24 },
    };
    const agreement = await checkBatches({ engine: exact, model: "nano" }, interview);
    expect(agreement).toMatchObject({
      images: 2,
      questions: 6,
      tokenAgreement: 1,
      exactAnswers: 1,
    });
    expect(agreement.featureError).toBeLessThan(1e-5);
  });

  test.each([
    ["fp16", 0.98],
    ["int8", 0.6],
    ["q4", 0.3],
    ["vision_encoder=fp32,embed_tokens=fp16,encoder_model=int8,decoder_model_merged=fp16", 0.8],
  ])("loads and answers in %s, from so many of the same tokens: %d", async (precision, least) => {
    const some = questions.filter((_, i) => i % 4 === 0);
    const given = await hear(await built(`in ${precision}`, whole, precision), some);
    expect(
      meanAgreement(
        heard.filter((_, i) => i % 4 === 0),
        given,
      ),
    ).toBeGreaterThan(least);
  });
});

test("an adapter on its base answers as the merged weights do, and otherwise than the base", async () => {
  const stem = "model.language_model.decoder.layers.1.";
  const layers = ["self_attn.q_proj", "encoder_attn.v_proj", "fc1"].map(
    (layer) => `${stem}${layer}`,
  );
  const [rank, alpha] = [4, 8];
  const next = random(11);
  const merged = await storedWeights();
  const adapter: Record<string, Stored> = {};
  for (const layer of layers) {
    const weight = merged[`${layer}.weight`] ?? expect.unreachable();
    const [out = 0, into = 0] = weight.dims;
    const a = Float32Array.from({ length: rank * into }, () => next() - 0.5);
    const b = Float32Array.from({ length: out * rank }, () => (next() - 0.5) / 4);
    for (let row = 0; row < out; row += 1) {
      for (let column = 0; column < into; column += 1) {
        let sum = 0;
        for (let k = 0; k < rank; k += 1)
          sum += (b[row * rank + k] ?? 0) * (a[k * into + column] ?? 0);
        weight.values[row * into + column] =
          (weight.values[row * into + column] ?? 0) + (alpha / rank) * sum;
      }
    }
    adapter[`base_model.model.${layer}.lora_A.weight`] = { dims: [rank, into], values: a };
    adapter[`base_model.model.${layer}.lora_B.weight`] = { dims: [out, rank], values: b };
  }
  const [tuned, added] = [join(place, "tuned"), join(place, "adapter")];
  await Promise.all([tuned, added].map((folder) => mkdir(folder)));
  for (const file of settings) await cp(join(nanoFolder, file), join(tuned, file));
  await writeSafeTensors(join(tuned, "model.safetensors"), merged);
  await writeSafeTensors(join(added, "adapter_model.safetensors"), adapter);
  await writeFile(
    join(added, "adapter_config.json"),
    JSON.stringify({ peft_type: "LORA", r: rank, lora_alpha: alpha }),
  );

  const questions = heldOutQuestions().filter((_, i) => i % 8 === 0);
  const byMerging = await hear(
    await built("by-merging", { checkpoint: tuned, base: null }),
    questions,
  );
  const byAdapter = await hear(
    await built("by-adapter", { checkpoint: added, base: nanoFolder }),
    questions,
  );
  const byBase = await hear(await built("by-base", whole), questions);
  expect(texts(byAdapter)).toEqual(texts(byMerging));
  expect(texts(byAdapter)).not.toEqual(texts(byBase));
});

describe("a checkpoint that does not do is refused before anything is written", () => {
  test.each([
    [
      "a tensor is missing",
      (t: Record<string, Stored>) => delete t["model.vision_tower.convs.0.conv.bias"],
      /convs\.0\.conv\.bias is missing/,
    ],
    [
      "one is not known",
      (t) => Object.assign(t, { "model.extra.weight": { dims: [1], values: Float32Array.of(1) } }),
      /model\.extra\.weight is not known/,
    ],
    [
      "the embedding lacks words of the tokenizer",
      (t) => cutRows(t, "model.language_model.shared.weight", 1600),
      /1600 rows for 1619 tokens/,
    ],
  ] satisfies [string, (tensors: Record<string, Stored>) => unknown, RegExp][])(
    "%s",
    async (what, spoil, message) => {
      const folder = join(place, what);
      await mkdir(folder);
      for (const file of settings) await cp(join(nanoFolder, file), join(folder, file));
      const tensors = await storedWeights();
      spoil(tensors);
      await writeSafeTensors(join(folder, "model.safetensors"), tensors, "F16");
      await expect(
        planBuild({ checkpoint: folder, base: null }, precisionsOf("fp32")),
      ).rejects.toMatchObject({
        code: "MODEL_UNAVAILABLE",
        message: expect.stringMatching(message),
      });
    },
  );

  test("an adapter without its base, and a base without an adapter", async () => {
    const folder = join(place, "alone");
    await mkdir(folder);
    await writeFile(
      join(folder, "adapter_config.json"),
      JSON.stringify({ base_model_name_or_path: "owner/base" }),
    );
    const plan = (source: BuildSource) => planBuild(source, precisionsOf("fp32"));
    await expect(plan({ checkpoint: folder, base: null })).rejects.toMatchObject({
      code: "INVALID",
      message: expect.stringContaining("owner/base"),
    });
    await expect(plan({ checkpoint: nanoFolder, base: nanoFolder })).rejects.toMatchObject({
      code: "INVALID",
    });
  });
});

function cutRows(tensors: Record<string, Stored>, name: string, rows: number): void {
  const { dims, values } = tensors[name] ?? expect.unreachable();
  const [, width = 0] = dims;
  tensors[name] = { dims: [rows, width], values: values.slice(0, rows * width) };
}
