import { afterAll, expect } from "vitest";
import { s3Images } from "../../adapters/aws/s3-images.ts";
import { openS3 } from "../../adapters/aws/s3-objects.ts";
import type { UploadTarget } from "../../core/ports.ts";
import { awsConfig, startEmulators } from "./aws-emulators.ts";
import { imagesContract } from "./images.ts";
import { openGate } from "./s3-gate.ts";

const aws = await startEmulators();
afterAll(() => aws.stop());

imagesContract("S3 (emulated)", async (clock) => {
  const gate = await openGate(aws.endpoint, clock);
  const client = openS3({ ...awsConfig, endpoint: gate.endpoint, forcePathStyle: true });
  const bucket = { client, name: aws.createBucket() };
  const close = async () => {
    client.destroy();
    await gate.close();
  };
  return { images: s3Images(bucket, clock), elsewhere: s3Images(bucket, clock), put, close };
});

/**
 * fetch counts the bytes itself, as a browser does, so the announced length is not what it sends.
 */
async function put(target: UploadTarget, body: readonly Uint8Array[]): Promise<void> {
  const headers = target.headers
    .filter(({ name }) => name !== "content-length")
    .map(({ name, value }): [string, string] => [name, value]);
  const answer = await fetch(target.url, {
    method: target.method,
    headers,
    body: Buffer.concat(body),
  });
  expect(answer.status, await answer.text()).toBe(200);
}
