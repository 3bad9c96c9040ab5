import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { packageRoot } from "../adapters/package-root.ts";
import { buildOurs } from "./base/build-ours.ts";
import { type CaseName, caseNames, cases, control } from "./base/cases.ts";
import { type Folders, prepareFolders } from "./base/folders.ts";
import { measure, type Pair } from "./base/measure.ts";
import { profileRows } from "./base/profile.ts";
import { circumstances, markdownTable, report, withSection } from "./base/report.ts";
import { type Side, startSide } from "./base/side.ts";

/**
 * Vedere against @huggingface/transformers on the same random weights of Florence-2-base, in turns,
 * on this machine's processor. The first run builds the models and installs the library (minutes, 4
 * GB in --cache). Leave the machine alone meanwhile: samples that others disturbed are measured
 * again.
 */
const { values: options } = parseArgs({
  options: {
    /** `tiny` tries everything in seconds; its figures mean nothing. */
    shape: { type: "string", default: "base" },
    cache: { type: "string", default: join(packageRoot(), "node_modules/.cache/vedere-base") },
    /** Florence-2's own tokenizer.json. */
    tokenizer: { type: "string" },
    /** With PyTorch, for the anchor's graphs. */
    python: { type: "string", default: "python3" },
    /** Clean samples of each case. */
    rounds: { type: "string", default: "10" },
    /** When to end with fewer. */
    minutes: { type: "string", default: "25" },
    /** Some of the cases. */
    only: { type: "string", default: caseNames.join() },
    precision: { type: "string", default: "fp32,int8" },
    /** Puts the tables into bench/results.md. */
    write: { type: "boolean", default: false },
    /** Instead of measuring: one run of each side, and where ONNX Runtime spent its time. */
    profile: { type: "boolean", default: false },
    /** Takes our models as an earlier run built them. */
    reuse: { type: "boolean", default: false },
  },
});
const say = (text: string) => process.stderr.write(`${text}\n`);
const photo = join(packageRoot(), "models/samples/harbour.jpg");
const shape = oneOf(["base", "tiny"] as const, options.shape, "shape");
const names: CaseName[] = options.only.split(",").map((name) => oneOf(caseNames, name, "case"));
const precisions = options.precision
  .split(",")
  .map((name) => oneOf(["fp32", "int8"] as const, name, "precision"));

const folders = await prepareFolders({
  shape,
  cache: options.cache,
  tokenizer: options.tokenizer ?? null,
  python: options.python,
  say,
});
const sides: Side[] = [];
try {
  if (options.profile) await printProfiles();
  else await printMeasurements();
} finally {
  await Promise.all(sides.map((side) => side.close()));
}

async function printMeasurements(): Promise<void> {
  const pairs: Pair[] = [];
  for (const precision of precisions) {
    const anchor = await start("anchor", precision, null);
    const ours = await start("ours", precision, null);
    pairs.push({ precision, anchor, ours, sameAnswers: await countSame(anchor, ours) });
  }
  const results = await measure(pairs, {
    names,
    rounds: Number(options.rounds),
    minutes: Number(options.minutes),
    say,
  });
  const text = `${circumstances(folders.tokenizer)}\n\n${report(results, names)}\n`;
  process.stdout.write(text);
  if (!options.write) return;
  const file = join(packageRoot(), "bench/results.md");
  writeFileSync(
    file,
    withSection(readFileSync(file, "utf8"), `Florence-2-base against transformers.js`, text),
  );
}

async function countSame(anchor: Side, ours: Side): Promise<number> {
  let same = 0;
  for (const work of control) {
    const [theirs, own] = [await anchor.ask(work), await ours.ask(work)];
    same += theirs.texts[0] === own.texts[0] ? 1 : 0;
  }
  return same;
}

async function printProfiles(): Promise<void> {
  for (const precision of precisions) {
    for (const module of ["anchor", "ours"] as const) {
      const folder = await mkdtemp(join(tmpdir(), "vedere-profile-"));
      const side = await start(module, precision, join(folder, module));
      await side.close();
      const rows = profileRows(folder);
      process.stdout.write(`\n${precision}, ${module}: loading and one task of 64 tokens\n`);
      process.stdout.write(
        `${markdownTable(["session", "operator", "ms", "share", "runs"], rows).join("\n")}\n`,
      );
      await rm(folder, { recursive: true });
    }
  }
}

async function start(
  module: "anchor" | "ours",
  precision: "fp32" | "int8",
  profile: string | null,
): Promise<Side> {
  const model = module === "anchor" ? folders.anchor : await ourModel(folders, precision);
  say(`loading ${module}, ${precision}`);
  const side = await startSide(
    module,
    {
      model,
      precision,
      pictures: { photo, exact: folders.picture },
      library: folders.library,
      profile,
    },
    cases.one.ours,
  );
  sides.push(side);
  return side;
}

async function ourModel({ checkpoint }: Folders, precision: "fp32" | "int8"): Promise<string> {
  const folder = join(checkpoint, "..", `ours-${precision}`);
  return buildOurs({ checkpoint, folder, precision, reuse: options.reuse, say });
}

function oneOf<Name extends string>(known: readonly Name[], name: string, what: string): Name {
  const found = known.find((each) => each === name);
  if (found) return found;
  throw new Error(`There is no ${what} ${name}; there are ${known.join(", ")}.`);
}
