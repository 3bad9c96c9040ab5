import { createHash } from "node:crypto";
import { HeadObjectCommand, PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { s3Images } from "../../../adapters/aws/s3-images.ts";
import { openS3, readObject } from "../../../adapters/aws/s3-objects.ts";
import type { Images, Upload, UploadTarget } from "../../../core/ports.ts";
import type { StoredImage } from "../../../core/run.ts";
import { awsConfig, startEmulators } from "../../contract/aws-emulators.ts";
import { fakeClock } from "../../contract/fake-clock.ts";
import { openGate } from "../../contract/s3-gate.ts";

const aws = await startEmulators();
afterAll(() => aws.stop());

const dayMs = 86_400_000;
const bytes = Buffer.from("these bytes stand for a picture");
const digest = createHash("sha256").update(bytes);
const sha256 = digest.copy().digest("hex");
const checksum = digest.digest("base64");
const image: StoredImage = {
  id: "img_1",
  sha256,
  mediaType: "image/webp",
  byteSize: bytes.length,
  width: 4,
  height: 3,
};

let clock: ReturnType<typeof fakeClock>;
let gate: Awaited<ReturnType<typeof openGate>>;
let client: S3Client;
let bucket: string;
let images: Images;
let upload: Upload;
beforeEach(async () => {
  clock = fakeClock(1_700_000_000_400);
  gate = await openGate(aws.endpoint, clock);
  client = openS3({ ...awsConfig, endpoint: gate.endpoint, forcePathStyle: true });
  bucket = aws.createBucket();
  images = s3Images({ client, name: bucket }, clock);
  upload = { id: "upl_1", byteSize: bytes.length, sha256, expiresAt: clock.now() + 60_000 };
});
afterEach(async () => {
  client.destroy();
  await gate.close();
});

const headersOf = ({ headers }: UploadTarget) =>
  Object.fromEntries(
    headers.filter(({ name }) => name !== "content-length").map(({ name, value }) => [name, value]),
  );
const putTo = (url: string, headers: Record<string, string>) =>
  fetch(url, { method: "PUT", headers, body: bytes });

describe("the presigned PUT", () => {
  test("signs size, type and sha256 as headers, and no checksum of a body that nobody has seen", async () => {
    const target = await images.createUpload("ten_1", upload);
    const url = new URL(target.url);
    expect(url.pathname).toBe(`/${bucket}/tenants/ten_1/uploads/upl_1`);
    expect(url.searchParams.get("X-Amz-SignedHeaders")).toBe(
      "content-length;content-type;host;x-amz-checksum-sha256",
    );
    expect([...url.searchParams.keys()].filter((name) => /checksum/i.test(name))).toEqual([]);
    expect(target.headers).toEqual([
      { name: "content-length", value: String(bytes.length) },
      { name: "content-type", value: "application/octet-stream" },
      { name: "x-amz-checksum-sha256", value: checksum },
    ]);
  });

  test("carries no checksum of an empty body even where none is named", async () => {
    const url = new URL(
      await getSignedUrl(client, new PutObjectCommand({ Bucket: bucket, Key: "any" })),
    );
    expect([...url.searchParams.keys()].filter((name) => /checksum/i.test(name))).toEqual([]);
  });

  test("ends with the upload, never later", async () => {
    const url = new URL(
      (await images.createUpload("ten_1", { ...upload, expiresAt: clock.now() + 59_900 })).url,
    );
    // 22:13:20.400 + 59.9 s = 22:14:20.300
    expect(url.searchParams.get("X-Amz-Date")).toBe("20231114T221320Z");
    expect(url.searchParams.get("X-Amz-Expires")).toBe("60");
  });

  test.each([0, 100, 7 * dayMs + 1_000])(
    "an upload that ends in %i ms is refused, and none is announced",
    async (ms) => {
      const refused = images.createUpload("ten_1", { ...upload, expiresAt: clock.now() + ms });
      await expect(refused).rejects.toMatchObject({ code: "INVALID" });
      expect(await images.getUpload("ten_1", "upl_1")).toBeNull();
    },
  );

  test.each([
    {
      what: "another tenant's key",
      change: { url: (url: string) => url.replace("/ten_1/", "/ten_2/") },
    },
    { what: "another upload", change: { url: (url: string) => url.replace("/upl_1", "/upl_2") } },
    {
      what: "a later end",
      change: { url: (url: string) => url.replace("Expires=60", "Expires=600") },
    },
    { what: "another type", change: { headers: { "content-type": "text/html" } } },
    {
      what: "another sha256",
      change: { headers: { "x-amz-checksum-sha256": createHash("sha256").digest("base64") } },
    },
  ])("does not hold for $what", async ({ change }) => {
    const target = await images.createUpload("ten_1", upload);
    const changed = await putTo(change.url?.(target.url) ?? target.url, {
      ...headersOf(target),
      ...change.headers,
    });
    expect(changed.status).toBe(403);
    expect(await changed.text()).toContain("SignatureDoesNotMatch");
    expect((await putTo(target.url, headersOf(target))).status).toBe(200);
  });
});

test.each([
  { what: "another size", other: Buffer.from("short") },
  { what: "another sha256", other: Buffer.from(bytes).fill("x") },
])("bytes of $what, written past the URL, are as if they were not there", async ({ other }) => {
  await images.createUpload("ten_1", upload);
  const key = "tenants/ten_1/uploads/upl_1";
  await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: other }));
  expect(await images.readUpload("ten_1", "upl_1")).toBeNull();
  await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: bytes }));
  expect(Buffer.from((await images.readUpload("ten_1", "upl_1")) ?? [])).toEqual(bytes);
});

test("an object of another size than the expected one is not loaded", async () => {
  await images.put("ten_1", image, bytes);
  const read = (byteSize: number) =>
    readObject({ client, name: bucket }, "tenants/ten_1/images/img_1", byteSize);
  expect(await read(bytes.length - 1)).toBeNull();
  expect(await read(bytes.length)).not.toBeNull();
});

test("bytes that nobody announced are no upload", async () => {
  await client.send(
    new PutObjectCommand({ Bucket: bucket, Key: "tenants/ten_1/uploads/upl_1", Body: bytes }),
  );
  expect(await images.getUpload("ten_1", "upl_1")).toBeNull();
  expect(await images.readUpload("ten_1", "upl_1")).toBeNull();
});

test("what is known of an image lives with its object", async () => {
  await images.put("ten_1", image, bytes);
  const object = await client.send(
    new HeadObjectCommand({ Bucket: bucket, Key: "tenants/ten_1/images/img_1" }),
  );
  expect(object).toMatchObject({
    ContentType: "image/webp",
    ContentLength: bytes.length,
    Metadata: { sha256, width: "4", height: "3" },
  });
});

test("an image is PUT with its sha256, for S3 to check on arrival", async () => {
  const sent: unknown[] = [];
  client.middlewareStack.add(
    (next) => (step) => {
      sent.push(step.request);
      return next(step);
    },
    { step: "finalizeRequest", priority: "low" },
  );
  await images.put("ten_1", image, bytes);
  expect(sent).toMatchObject([
    {
      method: "PUT",
      headers: { "x-amz-checksum-sha256": checksum, "content-length": String(bytes.length) },
    },
  ]);
});

test("an object that we did not write is an error, not an image", async () => {
  await client.send(
    new PutObjectCommand({
      Bucket: bucket,
      Key: "tenants/ten_1/images/img_1",
      Body: bytes,
      ContentType: "image/png",
    }),
  );
  await expect(images.get("ten_1", "img_1")).rejects.toThrow("not written by us");
});

test.each(["../ten_2/img_1", "a/b", "", "upl_1.announced", "é"])(
  "nothing is stored under the id %j",
  async (id) => {
    await expect(images.put("ten_1", { ...image, id }, bytes)).rejects.toThrow("characters");
    await expect(images.put(id, image, bytes)).rejects.toThrow("characters");
    await expect(images.createUpload("ten_1", { ...upload, id })).rejects.toThrow("characters");
  },
);
