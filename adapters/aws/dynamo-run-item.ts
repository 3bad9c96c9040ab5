import { promisify } from "node:util";
import { crc32, deflate, inflate } from "node:zlib";
import { AppError } from "../../core/errors.ts";
import { eraseAtOf, type Run, type RunStatus } from "../../core/run.ts";
import {
  type Item,
  type ItemKey,
  instantKey,
  keyOf,
  number,
  secondsOf,
  text,
} from "./dynamo-table.ts";

/**
 * Queued runs are spread over so many partitions of the sweeper's indexes, each good for some 500
 * runs a second. More may come later, fewer never.
 */
const queueShardCount = 4;
/** A record up to one write unit is kept as it is: packing it saves nothing. */
const plainBytesMax = 1_024;
/** DynamoDB's 400 KiB for an item, less its keys and names. */
const packedBytesMax = 400_000;

/**
 * A run as an item. `write` marks this write of it; after `retentionMs` the table may delete it,
 * once it has finished; null: never.
 */
export async function itemOfRun(
  run: Run,
  write: string,
  retentionMs: number | null,
): Promise<Item & ItemKey> {
  const eraseAt = eraseAtOf(run);
  return {
    ...placeOfRun(run.tenantId, run.id),
    owner: runsOf(run.tenantId),
    ownerStatus: runsOf(run.tenantId, run.status),
    newest: instantKey(run.createdAt, run.id),
    version: run.version,
    write,
    data: await pack(run),
    ...(run.status === "QUEUED" && {
      queue: shardOf(run),
      dueQueue: shardOf(run),
      due: instantKey(run.expiresAt, run.id),
    }),
    ...(eraseAt !== null && { dueQueue: toErase, due: instantKey(eraseAt, run.id) }),
    ...(run.finishedAt !== null &&
      retentionMs !== null && { expiresAt: secondsOf(run.finishedAt + retentionMs) }),
  };
}

/** The record as this program wrote it; its shape is not checked at every read. */
export async function runIn(item: Item): Promise<Run> {
  const { data } = item;
  const json =
    data instanceof Uint8Array ? (await promisify(inflate)(data)).toString() : text(item, "data");
  const run: Run = JSON.parse(json);
  if (run.version !== number(item, "version"))
    throw new TypeError(`The item of run ${run.id} contradicts itself.`);
  return run;
}

export function placeOfRun(tenantId: string, runId: string): ItemKey {
  return { pk: keyOf("RUN", tenantId, runId), sk: "RUN" };
}

/** The partition of a tenant's runs in the indexes; with a status, of those in it. */
export function runsOf(tenantId: string, status?: RunStatus): string {
  return status === undefined ? keyOf("RUNS", tenantId) : keyOf("RUNS", tenantId, status);
}

/** The partitions of queued runs in the indexes. */
export const queueShards: readonly string[] = Array.from({ length: queueShardCount }, (_, shard) =>
  keyOf("QUEUED", String(shard)),
);

/** The partition of finished runs that keep nothing, by when they may be deleted. */
export const toErase = keyOf("ERASE");

function shardOf({ id }: Run): string {
  return queueShards[crc32(id) % queueShardCount] ?? "";
}

async function pack(run: Run): Promise<string | Uint8Array> {
  const json = JSON.stringify(run);
  if (Buffer.byteLength(json) <= plainBytesMax) return json;
  const packed = await promisify(deflate)(json);
  if (packed.byteLength > packedBytesMax) {
    const size = `${packed.byteLength} bytes packed, ${packedBytesMax} can be stored`;
    throw new AppError(
      "INVALID",
      `The results of run ${run.id} are too large to be stored (${size}).`,
      {
        fix: "Ask fewer tasks in one run, or ask the ones with many regions in runs of their own.",
      },
    );
  }
  return packed;
}
