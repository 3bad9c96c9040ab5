import type { Config } from "../adapters/config.ts";
import { modelPlaces, openModels } from "../adapters/model-folders.ts";
import type { Log } from "../api/context.ts";
import { exactName } from "../core/model-names.ts";
import { fetchModels } from "./publish-model.ts";

/**
 * Before a worker starts: fetches the models of the model bucket that it lacks, where there is such
 * a bucket.
 */
export async function fetchPublished(config: Config, log: Log): Promise<void> {
  if (config.awsModelBucket === null) return;
  const { openModelBucket } = await import("../adapters/aws/open-aws.ts"); // the SDK takes a while to load
  const bucket = openModelBucket(config);
  if (!bucket) return;
  const places = modelPlaces(config);
  const local = await openModels(places, async () => []).list();
  const sound = local.filter(({ fault }) => fault === null);
  const models = await fetchModels(bucket, {
    into: places.pulled,
    has: new Set(sound.map(exactName)),
  });
  bucket.client.destroy();
  log.info({ bucket: bucket.name, models }, "models fetched");
}
