import { expect, test } from "vitest";
import { openSqlite } from "../../adapters/sqlite.ts";
import { sqliteAudit } from "../../adapters/sqlite-audit.ts";
import { anyEntry, auditEntry, commandLine } from "../../core/audit.ts";

test("the database itself refuses to change or delete an entry of the audit log", async () => {
  const sqlite = openSqlite(":memory:");
  const audit = sqliteAudit(sqlite);
  const by = { clock: { now: () => 1 }, by: commandLine };
  const subject = { type: "Tenant", id: "ten_1", tenantId: "ten_1" };
  const entry = auditEntry(by, "tenant.create", { subject });
  await audit.append(entry);
  for (const sql of [
    "UPDATE audit_log SET action = 'x'",
    "DELETE FROM audit_log",
    "INSERT OR REPLACE INTO audit_log (at, id, action, subject_id, data) SELECT at, id, 'x', 'x', '{}' FROM audit_log",
  ]) {
    expect(() => sqlite.run(sql), sql).toThrow();
    const page = await audit.list({ ...anyEntry, first: 5, after: null });
    expect(page.entries, sql).toEqual([entry]);
  }
  sqlite.close();
});
