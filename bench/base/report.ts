import { execFileSync } from "node:child_process";
import { cpus, totalmem } from "node:os";
import { packageRoot } from "../../adapters/package-root.ts";
import { type CaseName, cases, control } from "./cases.ts";
import { cleanOf, median, type Pair, type Samples, samplesOf, valuesOf } from "./measure.ts";
import type { Sample } from "./side.ts";

/**
 * Tables of what was measured, as markdown: one of ratios, one of stages, and what else there is to
 * say of each pair.
 */
export function report(results: ReadonlyMap<Pair, Samples>, names: readonly CaseName[]): string {
  const ratios = [...results].flatMap(([pair, samples]) =>
    names.map((name) => ratioRow(pair, name, samples)),
  );
  const head = [
    "case",
    "transformers.js, ms",
    "vedere, ms",
    "ratio",
    "target",
    "clean samples (theirs, ours)",
  ];
  const stages = [...results].flatMap(([pair, samples]) =>
    (["anchor", "ours"] as const).map((side) => stageRow(pair, side, samples)),
  );
  const stageHead = [
    "one task, 64 tokens",
    "pixels",
    "vision",
    "encoder",
    "first token",
    "a later token",
    "loading",
    "peak RSS, MB",
  ];
  return [
    ...markdownTable(head, ratios),
    "",
    ...markdownTable(stageHead, stages),
    "",
    ...[...results.keys()].map(agreement),
  ].join("\n");
}

function agreement({ precision, sameAnswers }: Pair): string {
  const what = precision === "fp32" ? "In fp32" : "Between int8 and q8";
  return `${what} ${sameAnswers} of ${control.length} greedy answers about a picture of the model's own size are the same on both sides, all 64 tokens.`;
}

/** Where and on what it was measured. */
export function circumstances(tokenizer: string): string {
  const git = (...command: string[]) =>
    execFileSync("git", command, { cwd: packageRoot(), encoding: "utf8" }).trim();
  const changed =
    git("status", "--porcelain", "--untracked-files=no") === "" ? "" : " with uncommitted changes";
  const machine = `${cpus().length} × ${cpus()[0]?.model}, ${(totalmem() / 2 ** 30).toFixed(0)} GB, Node ${process.version}`;
  return `Commit ${git("rev-parse", "--short", "HEAD")}${changed}; ${machine}. Random weights at Florence-2-base's size, ${tokenizer} tokenizer.`;
}

/** A markdown document with a section in the place of its earlier version, or at the end. */
export function withSection(document: string, title: string, text: string): string {
  const heading = `## ${title}\n`;
  const start = document.indexOf(heading);
  const before = start < 0 ? `${document.trimEnd()}\n\n` : document.slice(0, start);
  const after = start < 0 ? -1 : document.indexOf("\n## ", start + heading.length);
  return `${before}${heading}\n${text.trimEnd()}\n${after < 0 ? "" : document.slice(after)}`;
}

/** A markdown table that is also readable as text. */
export function markdownTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string[] {
  const widths = head.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(" | ")} |`;
  return [
    line(head),
    `|${widths.map((width, i) => (i === 0 ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`)).join("|")}|`,
    ...rows.map(line),
  ];
}

function ratioRow({ precision }: Pair, name: CaseName, samples: Samples): string[] {
  const { title, targets }: { title: string; targets: { fp32?: number; int8?: number } } =
    cases[name];
  const sides = (["anchor", "ours"] as const).map((side) => {
    const values = valuesOf(name, side, samples);
    const clean = cleanOf(values);
    // Where nothing was clean the rest is shown, and marked.
    const ms = median((clean.length > 0 ? clean : values).map((value) => value.ms));
    return { ms, mark: clean.length > 0 ? "" : "~", count: `${clean.length}/${values.length}` };
  });
  const [anchor, ours] = sides;
  const ratio = (anchor?.ms ?? Number.NaN) / (ours?.ms ?? Number.NaN);
  const target = targets[precision];
  return [
    `${precision === "fp32" ? "fp32" : "int8 : q8"}, ${title}`,
    ...sides.map(({ ms, mark }) => mark + milliseconds(ms)),
    sides.some(({ mark }) => mark !== "") ? `~${ratio.toFixed(2)}` : ratio.toFixed(2),
    target === undefined ? "" : `≥ ${target} ${ratio >= target ? "reached" : "missed"}`,
    sides.map(({ count }) => count).join(", "),
  ];
}

function stageRow(pair: Pair, side: "anchor" | "ours", samples: Samples): string[] {
  const all = samplesOf(side, cases.one.ours, samples);
  const of = (pick: (sample: Sample) => number) => milliseconds(median(all.map(pick)));
  return [
    `${pair.precision === "fp32" ? "fp32" : side === "anchor" ? "q8" : "int8"}, ${side === "anchor" ? "transformers.js" : "vedere"}`,
    of(({ stages }) => stages.pixelsMs),
    of(({ stages }) => stages.visionMs),
    of(({ stages }) => stages.encodeMs),
    of(({ stages }) => stages.tokenMs[0] ?? Number.NaN),
    of(({ stages }) => median(stages.tokenMs.slice(1, -1))),
    milliseconds(pair[side].loadMs),
    pair[side].first.rssMb.toFixed(0),
  ];
}

function milliseconds(ms: number): string {
  return ms < 100 ? ms.toFixed(1) : ms.toFixed(0);
}
