import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

/** The share that one type of operator has in the time of a graph. */
export interface OperatorTime {
  readonly type: string;
  readonly ms: number;
  readonly runs: number;
}

/**
 * What ONNX Runtime's profile of one session says; of events with a duration only those of
 * operators count.
 */
interface Event {
  readonly cat?: string;
  readonly name?: string;
  /** Microseconds. */
  readonly dur?: number;
  readonly args?: { readonly op_name?: string };
}

/** Time by type of operator, the longest first, from the JSON of a profile. */
export function operatorTimes(profile: string): OperatorTime[] {
  const byType = new Map<string, { ms: number; runs: number }>();
  for (const { cat, name = "", dur = 0, args } of JSON.parse(profile) as Event[]) {
    const type = args?.op_name;
    if (cat !== "Node" || !name.endsWith("_kernel_time") || type === undefined || type === "If")
      continue; // an If's time is that of its branch
    const { ms, runs } = byType.get(type) ?? { ms: 0, runs: 0 };
    byType.set(type, { ms: ms + dur / 1_000, runs: runs + 1 });
  }
  return [...byType].map(([type, times]) => ({ type, ...times })).sort((a, b) => b.ms - a.ms);
}

/**
 * The profiles of a folder, as rows of a table: one part of each graph in its file's name
 * (`ours-0_…`: the first session opened).
 */
export function profileRows(folder: string): string[][] {
  const files = readdirSync(folder).filter((file) => file.endsWith(".json"));
  return files.sort().flatMap((file) => {
    const times = operatorTimes(readFileSync(join(folder, file), "utf8"));
    const total = times.reduce((sum, { ms }) => sum + ms, 0);
    const rows = times.filter(({ ms }) => ms >= total / 100);
    const graph = basename(file).split("_")[0] ?? file;
    return rows.map(({ type, ms, runs }) => [
      graph,
      type,
      ms.toFixed(1),
      `${((100 * ms) / total).toFixed(0)} %`,
      String(runs),
    ]);
  });
}
