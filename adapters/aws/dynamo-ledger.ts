import { crc32 } from "node:zlib";
import type { Charge, Usage } from "../../core/charge.ts";
import type { Run } from "../../core/run.ts";
import {
  type DynamoTable,
  type Item,
  instantKey,
  keyOf,
  number,
  queryItems,
  text,
  type Write,
} from "./dynamo-table.ts";

const hourMs = 3_600_000;
/** Runs that end at the same time would call each other off at one sum. */
const sumsPerHour = 8;

/** The sums that are kept for each hour. */
const summed = [
  "runs",
  "tasks",
  "encodings",
  "tokens",
  "cost",
] as const satisfies readonly (keyof Usage)[];

/** The ledger's rows of one run, which are written once, and the sums of their hour, in the transaction of the run's end. */
export function ledgerWrites(
  { name: TableName }: DynamoTable,
  run: Run,
  charges: readonly Charge[],
): Write[] {
  const { tenantId, id, finishedAt } = run;
  if (charges.length === 0 || finishedAt === null) return [];
  const usage = usageOf([charges]);
  const hour = Math.floor(finishedAt / hourMs) * hourMs;
  return [
    {
      Put: {
        TableName,
        Item: {
          pk: rowsOf(tenantId),
          sk: instantKey(finishedAt, id),
          charges: JSON.stringify(charges),
        },
      },
    },
    {
      Update: {
        TableName,
        Key: { pk: sumsOf(tenantId), sk: instantKey(hour, String(crc32(id) % sumsPerHour)) },
        UpdateExpression: `ADD ${summed.map((name) => `#${name} :${name}`).join(", ")}`,
        ExpressionAttributeNames: Object.fromEntries(summed.map((name) => [`#${name}`, name])),
        ExpressionAttributeValues: Object.fromEntries(
          summed.map((name) => [`:${name}`, usage[name]]),
        ),
      },
    },
  ];
}

/** The sums of a span: whole hours from their sums, what is left at both ends from the rows. So a month takes some 6,000 short items. */
export async function readUsage(
  table: DynamoTable,
  tenantId: string,
  { from, to }: { from: number; to: number },
): Promise<Usage> {
  const [firstHour, lastHour] = [
    Math.ceil(from / hourMs) * hourMs,
    Math.floor(to / hourMs) * hourMs,
  ];
  if (firstHour >= lastHour) return usageOf(await readRows(table, tenantId, { from, to }));
  const [before, hours, after] = await Promise.all([
    readRows(table, tenantId, { from, to: firstHour }),
    queryItems(table, {
      partition: sumsOf(tenantId),
      after: instantKey(firstHour),
      before: instantKey(lastHour),
    }),
    readRows(table, tenantId, { from: lastHour, to }),
  ]);
  const ends = usageOf([...before, ...after]);
  const sum = (name: (typeof summed)[number]) =>
    hours.reduce((total, item) => total + number(item, name), ends[name]);
  return {
    runs: sum("runs"),
    tasks: sum("tasks"),
    encodings: sum("encodings"),
    tokens: sum("tokens"),
    cost: sum("cost"),
  };
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
  return items.map((item: Item): Charge[] => JSON.parse(text(item, "charges"))); // written above
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

function rowsOf(tenantId: string): string {
  return keyOf("CHARGES", tenantId);
}

function sumsOf(tenantId: string): string {
  return keyOf("SUMS", tenantId);
}
