import { type AuditEntry, anyEntry } from "./audit.ts";
import { monthOf } from "./budget.ts";
import type { Ports } from "./ports.ts";
import type { Run } from "./run.ts";
import type { ApiKey, Tenant } from "./tenant.ts";
import type { WebhookEndpoint } from "./webhook.ts";

/** What an export needs of a store. */
export type ExportPorts = Pick<
  Ports,
  "tenants" | "webhooks" | "runs" | "images" | "audit" | "clock"
>;

/** The kinds of records, in the order of an export (docs/tenant-export.md). */
export const exportKinds = [
  "tenant",
  "apiKey",
  "webhookEndpoint",
  "usage",
  "run",
  "image",
  "charge",
  "delivery",
  "auditEntry",
] as const;
export type ExportKind = (typeof exportKinds)[number];

/** A record as it is stored, without secrets. Instants are milliseconds since 1970. */
export interface ExportRecord {
  readonly kind: ExportKind;
  readonly data: object;
}

/** Where an export goes on: behind a record of a kind, or (null) with the first of it. */
export interface ExportPlace {
  readonly kind: ExportKind;
  readonly after: string | null;
}

/** A record, and the place behind it in its section. */
interface Item {
  readonly data: object;
  readonly after: string;
}

interface Asked {
  readonly tenant: Tenant;
  readonly first: number;
  readonly after: string | null;
  /** Whether whoever asks may know of other tenants' keys and addresses. */
  readonly isOperator: boolean;
}

/** So many characters of JSON a page has at most, or one record. */
const charactersMax = 2_000_000;

/**
 * A page of what belongs to a tenant. Each record is as it was when it was read; what is made while
 * an export goes on may be in it or not. `next` is null behind the last record.
 */
export async function exportPage(
  ports: ExportPorts,
  tenant: Tenant,
  {
    first,
    place,
    isOperator,
  }: {
    readonly first: number;
    readonly place: ExportPlace | null;
    readonly isOperator: boolean;
  },
): Promise<{ readonly records: readonly ExportRecord[]; readonly next: ExportPlace | null }> {
  const records: ExportRecord[] = [];
  let characters = 0;
  let { kind, after }: ExportPlace = place ?? { kind: "tenant", after: null };
  for (;;) {
    const asked = { tenant, first: first - records.length, after, isOperator };
    const items = await sections[kind](ports, asked);
    for (const item of items) {
      characters += JSON.stringify(item.data).length;
      if (records.length > 0 && characters > charactersMax)
        return { records, next: { kind, after } };
      records.push({ kind, data: item.data });
      after = item.after;
    }
    if (records.length >= first) return { records, next: { kind, after } };
    if (items.length > 0) continue;
    const following = kindBehind(kind);
    if (!following) return { records, next: null };
    [kind, after] = [following, null];
  }
}

function kindBehind(kind: ExportKind): ExportKind | undefined {
  return exportKinds[exportKinds.indexOf(kind) + 1];
}

type Section = (ports: ExportPorts, asked: Asked) => Promise<Item[]>;

/** Each gives up to `first` records behind `after`, and none only where there are no more. */
const sections: Readonly<Record<ExportKind, Section>> = {
  tenant: whole(async (_ports, tenant) => [tenant]),
  apiKey: whole(async ({ tenants }, { id }) => (await tenants.keys(id)).map(openKey)),
  webhookEndpoint: whole(async ({ webhooks }, { id }) =>
    (await webhooks.endpoints(id)).map(openEndpoint),
  ),
  usage: whole(usageByMonth),
  async run({ runs }, { tenant, first, after }) {
    const page = await runs.list(tenant.id, { first, after, status: null });
    return page.runs.map((run) => ({ data: openRun(run), after: page.cursorOf(run) }));
  },
  async image({ images }, { tenant, first, after }) {
    const found = await images.list(tenant.id, { first, after });
    return found.map((image) => ({ data: image, after: image.id }));
  },
  async charge({ runs }, { tenant, first, after }) {
    const [, at, runId] = /^(\d+) (.*)$/.exec(after ?? "") ?? [];
    const behind = at === undefined || runId === undefined ? null : { at: Number(at), runId };
    const found = await runs.ledger(tenant.id, { first, after: behind });
    return found.map((row) => ({ data: row, after: `${row.at} ${row.runId}` }));
  },
  async delivery({ webhooks }, { tenant, first, after }) {
    const filter = { endpointId: null, runId: null, status: null };
    const page = await webhooks.deliveries(tenant.id, { ...filter, first, after });
    return page.deliveries.map((each) => ({ data: each, after: page.cursorOf(each) }));
  },
  async auditEntry({ audit }, { tenant, first, after, isOperator }) {
    const page = await audit.list({ ...anyEntry, tenantId: tenant.id, first, after });
    return page.entries.map((entry) => ({
      data: isOperator ? entry : withoutStrangers(entry, tenant.id),
      after: page.cursorOf(entry),
    }));
  },
};

/** Of what there is little of: all is read each time. */
function whole(read: (ports: ExportPorts, tenant: Tenant) => Promise<object[]>): Section {
  return async (ports, { tenant, first, after }) => {
    const from = Number(after ?? 0);
    return (await read(ports, tenant))
      .slice(from, from + first)
      .map((data, i) => ({ data, after: String(from + i + 1) }));
  };
}

/**
 * The sums of each month in which there was work, from the tenant's first on; they outlive the
 * ledger's rows.
 */
async function usageByMonth({ runs, clock }: ExportPorts, tenant: Tenant): Promise<object[]> {
  const months: object[] = [];
  for (
    let month = monthOf(tenant.createdAt);
    month.from <= clock.now();
    month = monthOf(month.to)
  ) {
    const usage = await runs.usage(tenant.id, month);
    if (usage.tasks > 0) months.push({ ...month, ...usage });
  }
  return months;
}

function openKey({ secretHash: _, ...key }: ApiKey): object {
  return key;
}

function openEndpoint({ secrets, ...endpoint }: WebhookEndpoint): object {
  return { ...endpoint, secrets: secrets.map(({ sealed: _, ...secret }) => secret) };
}

function openRun({ webhook, ...run }: Run): object {
  if (!webhook) return run;
  const { sealedSecret: _, ...open } = webhook;
  return { ...run, webhook: open };
}

/** Of those who act on a tenant without being of it, the tenant learns what they did only. */
function withoutStrangers(entry: AuditEntry, tenantId: string): AuditEntry {
  const { actor } = entry;
  if (actor.tenantId === tenantId) return entry;
  return { ...entry, actor: { ...actor, keyId: null, tenantId: null, address: null } };
}
