import { databaseIn } from "../adapters/embedded.ts";
import { appendToDatabase } from "../adapters/sqlite-audit.ts";
import { type AuditAction, type AuditDetails, auditEntry, commandLine } from "../core/audit.ts";

/**
 * Writes into a data folder's audit log what was done with the folder as a whole. What was done
 * stays done if the log cannot be written, such as on a full disk: that is said on stderr.
 */
export function noteInFolder(dataDir: string, action: AuditAction, details: AuditDetails): void {
  const subject = { type: "DataFolder", id: dataDir, tenantId: null };
  const author = { clock: { now: () => Date.now() }, by: commandLine };
  try {
    appendToDatabase(databaseIn(dataDir), auditEntry(author, action, { subject, details }));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    process.stderr.write(`warning: The audit log of ${dataDir} has no entry of this: ${reason}\n`);
  }
}
