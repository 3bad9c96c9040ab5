/** A text table of p50 and p95 of named series. */
export function table(title: string, series: Readonly<Record<string, readonly number[]>>): string {
  const rows = Object.entries(series).map(
    ([name, values]) => [name, percentile(values, 0.5), percentile(values, 0.95)] as const,
  );
  const line = (name: string, ...cells: string[]) =>
    name.padEnd(28) + cells.map((cell) => cell.padStart(10)).join("");
  return [
    line(title, "p50", "p95"),
    ...rows.map(([name, p50, p95]) => line(name, p50.toFixed(2), p95.toFixed(2))),
  ].join("\n");
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}
