import { createReadStream } from "node:fs";
import { join } from "node:path";
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from "@aws-sdk/client-s3";
import { AppError } from "../../core/errors.ts";
import { exactName, findModels, withAliases } from "../../core/model-names.ts";
import type { ModelAlias, ModelInfo, Models } from "../../core/ports.ts";
import type { FolderModel } from "../model-folder.ts";
import { readAtMost } from "../read-at-most.ts";
import { type Bucket, base64Of, readObject } from "./s3-objects.ts";

/** What a bucket says about a model that workers fetch from it. */
export interface PublishedModel
  extends Pick<
    FolderModel,
    "id" | "description" | "revision" | "precision" | "tasks" | "defaults"
  > {
  /** By path from the model's folder. */
  readonly files: readonly {
    readonly path: string;
    readonly bytes: number;
    readonly sha256: string;
  }[];
  /** When, in milliseconds since 1970. */
  readonly publishedAt: number;
}

const cards = "catalogue/";
/** So long may a listing be old. */
const lookEveryMs = 30_000;

/**
 * The models of a bucket, the newest revision of an id first; for gateways, which have no files of
 * theirs. `chosen` is the default's name; null: the first.
 */
export function s3Models(
  bucket: Bucket,
  chosen: string | null,
  aliases: () => Promise<readonly ModelAlias[]>,
): Models {
  const look = readAtMost(lookEveryMs, () => publishedModels(bucket));
  return {
    async list({ isFresh } = { isFresh: false }): Promise<ModelInfo[]> {
      const published = (await look(isFresh)).map((model) => ({
        ...model,
        fault: null,
        folder: "",
        stamp: String(model.publishedAt),
      }));
      const models = withAliases(published, await aliases());
      const standard = chosen === null ? models[0] : findModels(models, chosen)[0];
      return models.map((model) => ({ ...model, isDefault: model === standard }));
    },
  };
}

/** All models of a bucket: by id, the newest revision first. */
export async function publishedModels(bucket: Bucket): Promise<PublishedModel[]> {
  const { Contents: found = [] } = await bucket.client.send(
    new ListObjectsV2Command({ Bucket: bucket.name, Prefix: cards }),
  );
  const read = async ({ Key: key = "" }): Promise<PublishedModel[]> => {
    const bytes = await readObject(bucket, key);
    if (!bytes) return []; // taken away since it was listed
    const model: PublishedModel = JSON.parse(new TextDecoder().decode(bytes)); // written by publishCard
    return [model];
  };
  const models = (await Promise.all(found.map(read))).flat();
  return models.sort((a, b) =>
    a.id === b.id ? b.publishedAt - a.publishedAt : a.id < b.id ? -1 : 1,
  );
}

/** Stores one file of a model; S3 refuses other bytes than those of the sha256. */
export async function publishFile(
  bucket: Bucket,
  model: PublishedModel,
  { folder, path }: { folder: string; path: string },
): Promise<void> {
  const file = model.files.find((each) => each.path === path);
  if (!file) throw new Error(`${path} is no file of ${exactName(model)}.`);
  const Body = createReadStream(join(folder, path), { highWaterMark: 1 << 20 });
  const checks = { ContentLength: file.bytes, ChecksumSHA256: base64Of(file.sha256) };
  await bucket.client.send(
    new PutObjectCommand({ Bucket: bucket.name, Key: fileKey(model, path), Body, ...checks }),
  );
}

/** Lists a model, once all of its files are there. */
export async function publishCard(bucket: Bucket, model: PublishedModel): Promise<void> {
  const Key = `${cards}${nameOf(model)}.json`;
  await bucket.client.send(
    new PutObjectCommand({
      Bucket: bucket.name,
      Key,
      Body: JSON.stringify(model),
      ContentType: "application/json",
    }),
  );
}

/**
 * The bytes of one file, as they come. Throws AppError MODEL_UNAVAILABLE where the bucket has lost
 * it.
 */
export async function publishedFile(
  bucket: Bucket,
  model: PublishedModel,
  path: string,
): Promise<AsyncIterable<Uint8Array>> {
  const { Body: body } = await bucket.client.send(
    new GetObjectCommand({ Bucket: bucket.name, Key: fileKey(model, path) }),
  );
  if (body && Symbol.asyncIterator in body) return body as AsyncIterable<Uint8Array>; // in Node.js a stream
  throw new AppError(
    "MODEL_UNAVAILABLE",
    `The bucket ${bucket.name} lacks ${path} of ${exactName(model)}.`,
    {
      fix: "Publish it again with `vedere models publish`.",
    },
  );
}

function fileKey(model: PublishedModel, path: string): string {
  return `models/${nameOf(model)}/${path}`;
}

/** Throws AppError INVALID where a name has characters that keys and folders should not have. */
function nameOf(model: Pick<PublishedModel, "id" | "revision">): string {
  const name = exactName(model);
  if (/^[\w.-]+@[\w.-]+$/.test(name)) return name;
  throw new AppError("INVALID", `The model ${name} cannot be published under this name.`, {
    fix: "Give it an id and a revision of letters, digits, dots, dashes and underscores in its vedere.json.",
  });
}
