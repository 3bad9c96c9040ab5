import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";
import type { Config } from "../adapters/config.ts";
import { databaseFaults } from "../adapters/database-check.ts";
import { damaged, diskError } from "../adapters/disk.ts";
import { databaseIn } from "../adapters/embedded.ts";
import { type Finding, ok } from "./finding.ts";

/** A large database on a slow disk takes longer; a doctor should not. */
const patienceMs = 30_000;

/**
 * Has SQLite read the whole database. In a process of its own, because nothing else can end SQLite
 * while it reads.
 */
export async function checkDatabase(
  { store, dataDir }: Pick<Config, "store" | "dataDir">,
  { timeoutMs }: { timeoutMs: number } = { timeoutMs: patienceMs },
): Promise<Finding> {
  const path = databaseIn(dataDir);
  if (store === "aws") return ok("DynamoDB looks after itself");
  if (!existsSync(path)) return ok("there is none yet");
  const args = [process.argv[1] ?? "", "check-database", path];
  try {
    const { stdout } = await promisify(execFile)(process.execPath, args, {
      timeout: timeoutMs,
      killSignal: "SIGKILL",
    });
    const faults: string[] = JSON.parse(stdout); // tellDatabaseFaults, of this release
    if (faults.length === 0) return ok(`${path}: SQLite's quick_check finds nothing wrong`);
    const { message, fix } = damaged(path, faults.join("; "));
    return { status: "FAIL", detail: message, ...(fix !== null && { fix }) };
  } catch (error) {
    if (!(error instanceof Error && "killed" in error && error.killed)) throw error;
    return {
      status: "WARN",
      detail: `${path} could not be checked in ${timeoutMs / 1_000} s`,
      fix: `Check a copy: \`vedere backup DIR\`, then \`sqlite3 DIR/vedere.db "PRAGMA quick_check"\`.`,
    };
  }
}

/** `vedere check-database PATH`, for `checkDatabase`: a JSON array of what is wrong. */
export function tellDatabaseFaults(path: string): void {
  process.stdout.write(JSON.stringify(faultsIn(path)));
}

/** A file that is broken so that SQLite cannot read it at all is damaged, too. */
function faultsIn(path: string): string[] {
  try {
    return databaseFaults(path);
  } catch (error) {
    const known = diskError(error, path);
    return [known instanceof Error ? known.message : String(known)];
  }
}
