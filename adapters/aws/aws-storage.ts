import { DescribeTableCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { ListObjectsV2Command } from "@aws-sdk/client-s3";
import type { Config } from "../config.ts";
import { openBucket, requireAws } from "./open-aws.ts";
import type { Bucket } from "./s3-objects.ts";

/** What the store in AWS takes, as far as few requests tell. */
export interface AwsStorageReport {
  readonly table: {
    readonly name: string;
    readonly items: number;
    readonly bytes: number;
    readonly indexBytes: number;
  };
  readonly bucket: {
    readonly name: string;
    readonly objects: number;
    readonly bytes: number;
    /**
     * False if the bucket holds more objects than were listed: then both numbers are lower bounds.
     */
    readonly isComplete: boolean;
  };
}

/** 10,000 objects: ten requests, which cost as much as ten writes and take some two seconds. */
const bounds = { pages: 10, perPage: 1_000 } as const;

/**
 * DynamoDB brings its numbers up to date every six hours or so. Throws AppError SETTING_INVALID,
 * and what AWS refuses.
 */
export async function measureAws(config: Config): Promise<AwsStorageReport> {
  const { region, table } = requireAws(config);
  const dynamo = new DynamoDBClient({ region });
  const bucket = openBucket(config);
  try {
    const { Table } = await dynamo.send(new DescribeTableCommand({ TableName: table }));
    const indexes = Table?.GlobalSecondaryIndexes ?? [];
    return {
      table: {
        name: table,
        items: Table?.ItemCount ?? 0,
        bytes: Table?.TableSizeBytes ?? 0,
        indexBytes: indexes.reduce((sum, { IndexSizeBytes }) => sum + (IndexSizeBytes ?? 0), 0),
      },
      bucket: { name: bucket.name, ...(await listed(bucket)) },
    };
  } finally {
    dynamo.destroy();
    bucket.client.destroy();
  }
}

/** The objects of a bucket and their bytes, up to so many pages of a listing. */
export async function listed(
  { client, name }: Bucket,
  { pages, perPage }: { readonly pages: number; readonly perPage: number } = bounds,
) {
  let [objects, bytes] = [0, 0];
  let after: string | undefined;
  for (let page = 0; page < pages; page += 1) {
    const { Contents = [], NextContinuationToken } = await client.send(
      new ListObjectsV2Command({
        Bucket: name,
        MaxKeys: perPage,
        ...(after && { ContinuationToken: after }),
      }),
    );
    objects += Contents.length;
    bytes += Contents.reduce((sum, { Size }) => sum + (Size ?? 0), 0);
    after = NextContinuationToken;
    if (!after) break;
  }
  return { objects, bytes, isComplete: !after };
}
