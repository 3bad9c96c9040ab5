import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Command } from "commander";
import { connectTenants } from "../../adapters/connect.ts";
import { type Audit, type AuditEntry, type AuditFilter, auditActions } from "../../core/audit.ts";
import { auditEntries, jsonLine } from "../audit-lines.ts";
import { readDataConfig } from "../data-folder.ts";
import { usageError } from "../failure.ts";
import { instantText, operatorOptions } from "../operate.ts";
import { alignColumns } from "../print.ts";

interface Options {
  readonly data?: string;
  readonly from?: string;
  readonly to?: string;
  readonly tenant?: string;
  readonly key?: string;
  readonly action?: string;
  readonly subject?: string;
}

/** How many entries `list` shows. */
const listedMax = 100;

/** `vedere audit`: who changed what. */
export function addAudit(program: Command): void {
  const audit = program
    .command("audit")
    .description("Shows and exports the audit log: who created, changed, revoked or deleted what.");
  const add = (name: string, description: string) =>
    audit
      .command(name)
      .description(description)
      .option("--from <instant>", "from this instant, as 2026-01-31 or 2026-01-31T12:00:00Z")
      .option("--to <instant>", "until before this instant")
      .option("--tenant <id>", "changes to what this tenant has")
      .option("--key <id>", "what this API key did")
      .option("--action <name>", "one action, such as apiKey.create")
      .option("--subject <id>", "changes to one object")
      .option(...operatorOptions.data);
  add("list", `Lists the newest ${listedMax} entries.`).action(list);
  add("export", "Writes all entries as JSON lines, newest first.").action(exportLines);
}

async function list(options: Options): Promise<void> {
  await withLog(options, async (audit, filter) => {
    const { entries, hasNextPage } = await audit.list({ ...filter, first: listedMax, after: null });
    process.stdout.write(
      entries.length > 0 ? alignColumns(entries.map(cells)) : "There are no such entries.\n",
    );
    if (hasNextPage) process.stdout.write("There are more: `vedere audit export` writes all.\n");
  });
}

async function exportLines(options: Options): Promise<void> {
  await withLog(options, async (audit, filter) => {
    const lines = async function* () {
      for await (const entry of auditEntries(audit, filter)) yield jsonLine(entry);
    };
    await pipeline(Readable.from(lines()), process.stdout, { end: false });
  });
}

async function withLog(
  options: Options,
  work: (audit: Audit, filter: AuditFilter) => Promise<void>,
): Promise<void> {
  const filter = filterOf(options);
  const { audit, close } = await connectTenants(readDataConfig({ dataDir: options.data }));
  try {
    await work(audit, filter);
  } finally {
    close();
  }
}

/** Throws AppError INVALID. */
function filterOf({ tenant, key, subject, ...options }: Options): AuditFilter {
  const action = auditActions.find((known) => known === options.action) ?? null;
  if (options.action !== undefined && action === null)
    throw usageError(
      `There is no action ${options.action}.`,
      `Use one of ${auditActions.join(", ")}.`,
    );
  return {
    tenantId: tenant ?? null,
    keyId: key ?? null,
    subjectId: subject ?? null,
    action,
    from: instantOf(options.from),
    to: instantOf(options.to),
  };
}

function instantOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  const at = /^\d{4}-\d{2}-\d{2}(T.+(Z|[+-]\d{2}:\d{2}))?$/.test(text)
    ? Date.parse(text)
    : Number.NaN;
  if (!Number.isNaN(at)) return at;
  throw usageError(`${text} is no instant.`, "Write it as 2026-01-31 or 2026-01-31T12:00:00Z.");
}

function cells({ at, action, actor, subject }: AuditEntry): string[] {
  const who = actor.keyId === null ? actor.kind.toLowerCase().replace("_", " ") : actor.keyId;
  return [instantText(at), action, subject.id, `by ${who}`, actor.address ?? ""];
}
