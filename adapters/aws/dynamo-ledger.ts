import { crc32 } from "node:zlib";
import type { Charge, Usage } from "../../core/charge.ts";
import type { ChargedRun } from "../../core/ports.ts";
import type { Run } from "../../core/run.ts";
import { partsOf, type SpanPart, type SumGrain, startAtOrBefore } from "../../core/usage-span.ts";
import {
  type DynamoTable,
  type Item,
  instantKey,
  keyOf,
  number,
  queryItems,
  secondsOf,
  text,
  type Write,
} from "./dynamo-table.ts";

export const hourMs = 3_600_000;
/**
 * What sums are kept for, the widest first. A minute's would be another write for each run, to
 * spare few rows.
 */
const grains = ["month", "day", "hour"] as const;
/**
 * Runs that end at the same time would call each other off at one sum, so a sum is kept in so many
 * parts.
 */
const shards = 8;

/** What each sum holds. */
const summed = [
  "runs",
  "tasks",
  "encodings",
  "tokens",
  "cost",
] as const satisfies readonly (keyof Usage)[];

/**
 * The ledger's rows of one run, which are written once, and the sums of its hour, day and month
 * (UTC), in the transaction of the run's end.
 */
export function ledgerWrites(
  { name: TableName }: DynamoTable,
  {
    run,
    charges,
    retentionMs,
  }: {
    run: Run;
    charges: readonly Charge[];
    /** So long after the end of their hour the rows may be deleted; null: never. */
    retentionMs: number | null;
  },
): Write[] {
  const { tenantId, id, finishedAt } = run;
  if (charges.length === 0 || finishedAt === null) return [];
  const usage = usageOf([charges]);
  const shard = String(crc32(id) % shards); // the same of all grains: who collides at one has lost the others too
  const add = {
    UpdateExpression: `ADD ${summed.map((name) => `#${name} :${name}`).join(", ")}`,
    ExpressionAttributeNames: Object.fromEntries(summed.map((name) => [`#${name}`, name])),
    ExpressionAttributeValues: Object.fromEntries(summed.map((name) => [`:${name}`, usage[name]])),
  };
  return [
    {
      Put: {
        TableName,
        Item: {
          pk: rowsOf(tenantId),
          sk: instantKey(finishedAt, id),
          charges: JSON.stringify(charges),
          ...(retentionMs !== null && { expiresAt: secondsOf(finishedAt + hourMs + retentionMs) }),
        },
      },
    },
    ...grains.map((grain) => ({
      Update: {
        TableName,
        Key: {
          pk: sumsOf(tenantId, grain),
          sk: instantKey(startAtOrBefore(finishedAt, grain), shard),
        },
        ...add,
      },
    })),
  ];
}

/**
 * The sums of a span: whole months, days and hours from their sums, what is left at both ends from
 * the rows. A month takes 8 items.
 */
export async function readUsage(
  table: DynamoTable,
  tenantId: string,
  span: { from: number; to: number },
): Promise<Usage> {
  const parts = await Promise.all(
    partsOf(span, grains).map((part) => readPart(table, tenantId, part)),
  );
  const sum = (name: (typeof summed)[number]) =>
    parts.flat().reduce((total, usage) => total + usage[name], 0);
  return {
    runs: sum("runs"),
    tasks: sum("tasks"),
    encodings: sum("encodings"),
    tokens: sum("tokens"),
    cost: sum("cost"),
  };
}

async function readPart(
  table: DynamoTable,
  tenantId: string,
  { grain, from, to }: SpanPart,
): Promise<Usage[]> {
  if (grain === null) return [usageOf(await readRows(table, tenantId, { from, to }))];
  const items = await queryItems(table, {
    partition: sumsOf(tenantId, grain),
    after: instantKey(from),
    before: instantKey(to),
  });
  return items.map((item) => ({
    runs: number(item, "runs"),
    tasks: number(item, "tasks"),
    encodings: number(item, "encodings"),
    tokens: number(item, "tokens"),
    cost: number(item, "cost"),
  }));
}

/** The rows of runs, the oldest first. */
export async function readLedger(
  table: DynamoTable,
  tenantId: string,
  { first, after }: { first: number; after: { at: number; runId: string } | null },
): Promise<ChargedRun[]> {
  const items = await queryItems(table, {
    partition: rowsOf(tenantId),
    after: after ? instantKey(after.at, after.runId) : instantKey(0),
    max: first,
  });
  return items.flatMap((item) => {
    const charges = chargesIn(item);
    return charges[0] ? [{ runId: charges[0].runId, at: charges[0].at, charges }] : [];
  });
}

async function readRows(
  table: DynamoTable,
  tenantId: string,
  { from, to }: { from: number; to: number },
): Promise<Charge[][]> {
  if (from >= to) return [];
  const items = await queryItems(table, {
    partition: rowsOf(tenantId),
    after: instantKey(from),
    before: instantKey(to),
  });
  return items.map(chargesIn);
}

function chargesIn(item: Item): Charge[] {
  const charges: Charge[] = JSON.parse(text(item, "charges")); // written above
  return charges;
}

/** Of the charges of some runs. */
function usageOf(runs: readonly (readonly Charge[])[]): Usage {
  const charges = runs.flat();
  const sum = (of: (charge: Charge) => number) =>
    charges.reduce((total, charge) => total + of(charge), 0);
  return {
    runs: runs.length,
    tasks: charges.length,
    encodings: sum(({ encodings }) => encodings),
    tokens: sum(({ tokens }) => tokens),
    cost: sum(({ cost }) => cost),
  };
}

export function rowsOf(tenantId: string): string {
  return keyOf("CHARGES", tenantId);
}

function sumsOf(tenantId: string, grain: SumGrain): string {
  return keyOf("SUMS", tenantId, grain);
}
