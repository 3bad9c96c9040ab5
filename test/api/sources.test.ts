import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import sharp from "sharp";
import { expect, onTestFinished, test } from "vitest";
import { picture } from "../picture.ts";
import { runCreate, runInput, startForTest } from "./start.ts";

/** Serves a file, and 404 where it is not there any more. */
async function serve(body: Uint8Array, isThere = () => true): Promise<string> {
  const server = createServer((_request, response) =>
    isThere() ? response.end(body) : response.writeHead(404).end(),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/picture`;
}

test("an image is fetched from a private server where that is allowed, and only there", async () => {
  const url = await serve(await picture());
  const input = await runInput({ source: { url } });
  const developing = await startForTest({ fetch: { allowPrivate: true } });
  expect((await developing.ask(runCreate, { input })).body.data.runCreate).toMatchObject({
    run: { image: { width: 320, mediaType: "image/png" } },
    userErrors: [],
  });
  const closed = await startForTest();
  expect((await closed.ask(runCreate, { input })).body.data.runCreate).toMatchObject({
    run: null,
    userErrors: [{ code: "SOURCE_BLOCKED", path: ["input", "source", "url"] }],
  });
});

test("a retry with its idempotency key is answered although the image is gone by then", async () => {
  let served = 0;
  const url = await serve(await picture(), () => {
    served += 1;
    return served === 1;
  });
  const gateway = await startForTest({ fetch: { allowPrivate: true } });
  const input = await runInput({ source: { url }, idempotencyKey: "once" });
  const { run } = (await gateway.ask(runCreate, { input })).body.data.runCreate;
  expect((await gateway.ask(runCreate, { input })).body.data.runCreate).toMatchObject({
    run: { id: run.id },
    replayed: true,
    userErrors: [],
  });
  const { userErrors } = (
    await gateway.ask(runCreate, { input: { ...input, idempotencyKey: "twice" } })
  ).body.data.runCreate;
  expect(userErrors).toMatchObject([{ code: "SOURCE_UNREACHABLE" }]);
});

test.each(["url", "base64"])(
  "a truncated JPEG and an HTML page are told apart, from %s",
  async (kind) => {
    const gateway = await startForTest({ fetch: { allowPrivate: true } });
    const jpeg = await sharp(await picture())
      .jpeg()
      .toBuffer();
    for (const [bytes, code] of [
      [jpeg.subarray(0, jpeg.length / 2), "SOURCE_CORRUPT"],
      [Buffer.from("<!doctype html><title>404</title>"), "SOURCE_UNSUPPORTED"],
    ] as const) {
      const source =
        kind === "url" ? { url: await serve(bytes) } : { base64: bytes.toString("base64") };
      const { userErrors } = (await gateway.ask(runCreate, { input: await runInput({ source }) }))
        .body.data.runCreate;
      expect(userErrors).toEqual([
        {
          path: ["input", "source", kind],
          code,
          message: expect.any(String),
          fix: expect.any(String),
        },
      ]);
    }
  },
);

test("a JPEG without its end marker is taken, and the image says so, again and again", async () => {
  const gateway = await startForTest();
  const jpeg = await sharp(await picture())
    .jpeg()
    .toBuffer();
  const query = `mutation ($input: RunCreateInput!) {
    runCreate(input: $input) { run { image { id warnings } } userErrors { code } }
  }`;
  const taken = async (bytes: Buffer) => {
    const input = await runInput({ source: { base64: bytes.toString("base64") } });
    return (await gateway.ask(query, { input })).body.data.runCreate.run.image.warnings;
  };
  expect(await taken(jpeg)).toEqual([]);
  expect(await taken(jpeg.subarray(0, -2))).toEqual(["END_MARKER_MISSING"]);
  expect(await taken(jpeg.subarray(0, -2))).toEqual(["END_MARKER_MISSING"]);
});

test("base64 that is empty, or encodes an image twice, is told what is wrong", async () => {
  const gateway = await startForTest();
  const once = (await picture()).toString("base64");
  const errorOf = async (base64: string) => {
    const input = await runInput({ source: { base64 } });
    return (await gateway.ask(runCreate, { input })).body.data.runCreate.userErrors[0];
  };
  expect(await errorOf("")).toMatchObject({ code: "INVALID", message: "There is nothing in it." });
  expect(await errorOf(Buffer.from(once).toString("base64"))).toMatchObject({
    code: "SOURCE_UNSUPPORTED",
    message: expect.stringContaining("base64 once more"),
    fix: "Encode the file's bytes once.",
  });
});
