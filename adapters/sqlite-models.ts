import type { HostedModel, ModelRegistry } from "../core/ports.ts";
import { integer, type Sqlite, text } from "./sqlite.ts";

const dayMs = 86_400_000;

/** Aliases of models, and what workers report about them, in SQLite. */
export function sqliteModels(sqlite: Sqlite): ModelRegistry {
  return {
    async aliases() {
      return sqlite
        .all("SELECT name, target FROM model_aliases ORDER BY name")
        .map((row) => ({ name: text(row, "name"), target: text(row, "target") }));
    },
    async setAlias({ name, target }) {
      sqlite.run(
        "INSERT INTO model_aliases (name, target) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET target = ?2",
        name,
        target,
      );
    },
    async removeAlias(name) {
      return sqlite.run("DELETE FROM model_aliases WHERE name = ?", name) > 0;
    },
    async report({ workerId, at, models }) {
      sqlite.write(() => {
        sqlite.run("DELETE FROM worker_reports WHERE at < ?", at - dayMs);
        sqlite.run(
          "INSERT OR REPLACE INTO worker_reports (worker_id, at, data) VALUES (?, ?, ?)",
          workerId,
          at,
          JSON.stringify(models),
        );
      });
    },
    async reports(since) {
      return sqlite
        .all("SELECT * FROM worker_reports WHERE at >= ? ORDER BY worker_id", since)
        .map((row) => {
          const models: HostedModel[] = JSON.parse(text(row, "data")); // written above
          return { workerId: text(row, "worker_id"), at: integer(row, "at"), models };
        });
    },
    async removeReport(workerId) {
      sqlite.run("DELETE FROM worker_reports WHERE worker_id = ?", workerId);
    },
  };
}
