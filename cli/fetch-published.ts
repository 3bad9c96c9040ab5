import type { Config } from "../adapters/config.ts";
import { modelPlaces } from "../adapters/model-folders.ts";
import type { Log } from "../api/context.ts";
import { fetchModels } from "./publish-model.ts";

/** Before a worker starts: fetches the models of the model bucket that it lacks, where there is such a bucket. */
export async function fetchPublished(config: Config, log: Log): Promise<void> {
  if (config.awsModelBucket === null) return;
  const { openModelBucket } = await import("../adapters/aws/open-aws.ts"); // the SDK takes a while to load
  const bucket = openModelBucket(config);
  if (!bucket) return;
  const models = await fetchModels(bucket, { into: modelPlaces(config).pulled, only: null });
  bucket.client.destroy();
  log.info({ bucket: bucket.name, models }, "models fetched");
}
