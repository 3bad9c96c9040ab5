import type { Audit, AuditEntry, AuditFilter } from "../core/audit.ts";

const pageSize = 500;

/** All entries of the audit log that a filter lets through, newest first, read by pages. */
export async function* auditEntries(
  audit: Pick<Audit, "list">,
  filter: AuditFilter,
): AsyncGenerator<AuditEntry> {
  for (let after: string | null = null; ; ) {
    const page = await audit.list({ ...filter, first: pageSize, after });
    yield* page.entries;
    const last = page.entries.at(-1);
    if (!page.hasNextPage || !last) return;
    after = page.cursorOf(last);
  }
}

/** An entry as one line of JSON, its instant in ISO 8601. */
export function jsonLine(entry: AuditEntry): string {
  return `${JSON.stringify({ ...entry, at: new Date(entry.at).toISOString() })}\n`;
}
