import { type Bucket, draw } from "../core/budget.ts";
import type { Budgets } from "../core/ports.ts";
import { integer, type Sqlite } from "./sqlite.ts";

/** Token buckets in SQLite, drawn from under the write lock. */
export function sqliteBudgets(sqlite: Sqlite): Budgets {
  const read = (tenantId: string, name: string): Bucket | null => {
    const row = sqlite.first(
      "SELECT level, at FROM budgets WHERE tenant_id = ? AND name = ?",
      tenantId,
      name,
    );
    return row && { level: integer(row, "level"), at: integer(row, "at") };
  };
  const write = (tenantId: string, name: string, { level, at }: Bucket) =>
    sqlite.run(
      `INSERT INTO budgets (tenant_id, name, level, at) VALUES (?, ?, ?, ?)
       ON CONFLICT (tenant_id, name) DO UPDATE SET level = excluded.level, at = excluded.at`,
      ...[tenantId, name, level, at],
    );
  return {
    async draw(tenantId, names, { cost, size, now }) {
      const drawn = () =>
        draw(
          names.map((name) => read(tenantId, name)),
          cost,
          size,
          now,
        );
      if (cost === 0) return drawn();
      return sqlite.write(() => {
        const outcome = drawn();
        if (outcome.waitMs === 0)
          for (const [i, name] of names.entries())
            write(tenantId, name, { level: outcome.levels[i] ?? 0, at: now });
        return outcome;
      });
    },
  };
}
