import type { AwsStorageReport } from "../adapters/aws/aws-storage.ts";
import type { StorageReport } from "../adapters/storage-report.ts";
import { alignColumns } from "./print.ts";

/** What a data folder takes, for readers. */
export function storageText(report: StorageReport): string {
  const { database, images, uploads, drafts, models, backups, disk } = report;
  const rows = [
    ["database", bytesText(database.bytes)],
    ...database.groups
      .filter(({ bytes }) => bytes > 0)
      .map(({ name, bytes }) => [`  ${name}`, bytesText(bytes)]),
    ["  unused pages", bytesText(database.unusedBytes)],
    ["write-ahead log", bytesText(database.walBytes)],
    ["images", bytesText(images.bytes), `${images.count} files`],
    ["uploads", bytesText(uploads.bytes), `${uploads.count} files`],
    ["drafts", bytesText(drafts.bytes), `${drafts.count} unfinished`],
    ...models.map(({ name, bytes }) => [`model ${name}`, bytesText(bytes)]),
    ...backups.map(({ name, bytes }) => [`backup ${name}`, bytesText(bytes)]),
    ["other files", bytesText(report.otherBytes)],
    ["free on this disk", bytesText(disk.freeBytes), `of ${bytesText(disk.totalBytes)}`],
  ];
  const tenants = report.tenants?.map(({ id, name, runs, images }) => [
    id,
    name ?? "(deleted)",
    `${runs.count} runs`,
    bytesText(runs.bytes),
    `${images.count} images`,
    bytesText(images.bytes),
  ]);
  const cut = report.isComplete
    ? ""
    : "The time was over before all was seen: these are lower bounds. `--seconds 0` looks at everything.\n";
  return `${report.dataDir}\n${alignColumns(rows)}${tenants ? `tenants\n${alignColumns(tenants)}` : ""}${cut}`;
}

/** What the store in AWS takes, for readers. */
export function awsStorageText({ table, bucket }: AwsStorageReport): string {
  const least = bucket.isComplete ? "" : "at least ";
  const rows = [
    [`table ${table.name}`, bytesText(table.bytes), `${table.items} items, up to six hours old`],
    ["  its indexes", bytesText(table.indexBytes)],
    [
      `bucket ${bucket.name}`,
      `${least}${bytesText(bucket.bytes)}`,
      `${least}${bucket.objects} objects`,
    ],
  ];
  const more = bucket.isComplete
    ? ""
    : `The bucket's whole size is CloudWatch's daily metric AWS/S3 BucketSizeBytes, or \`aws s3 ls s3://${bucket.name} --recursive --summarize\`.\n`;
  return `${alignColumns(rows)}${more}`;
}

/** Decimal units, as disks are sold. */
function bytesText(bytes: number): string {
  const [unit = "B", size = 1] =
    (
      [
        ["GB", 1e9],
        ["MB", 1e6],
        ["kB", 1e3],
      ] as const
    ).find(([, size]) => bytes >= size) ?? [];
  return unit === "B" ? `${bytes} B` : `${(bytes / size).toFixed(1)} ${unit}`;
}
