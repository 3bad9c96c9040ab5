import { createHash } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { mintKey } from "../../core/tenant.ts";
import { grantOf } from "../core/new-key.ts";
import { picture } from "../picture.ts";
import {
  runCreate,
  runInput,
  send,
  startForTest,
  startGateway,
  type TestGateway,
} from "./start.ts";

let gateway: TestGateway;
let bytes: Buffer;
beforeAll(async () => {
  gateway = await startGateway();
  bytes = await picture({ width: 100, height: 80 });
});
afterAll(() => gateway.close());

const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");

const prepare = async (files: object[], authorization?: string) =>
  (
    await gateway.ask(
      `mutation ($files: [UploadFileInput!]!) {
        uploadsCreate(input: { files: $files }) { targets { uploadId method url headers { name value } expiresAt } userErrors { path code } }
      }`,
      { files },
      authorization,
    )
  ).body.data.uploadsCreate;

/** The target's URL on the port that this gateway listens on. */
const here = (url: string) => {
  const { pathname, search } = new URL(url);
  return `${gateway.url}${pathname}${search}`;
};

const put = (url: string, body: Uint8Array) =>
  send(here(url), { method: "PUT", body: new Uint8Array(body) });

const runFrom = async (uploadId: string) =>
  (await gateway.ask(runCreate, { input: await runInput({ source: { uploadId } }) })).body.data
    .runCreate;

test("a file goes up by PUT and becomes a run's image", async () => {
  const { targets, userErrors } = await prepare([
    { byteSize: bytes.length, sha256: sha256(bytes).toUpperCase() },
  ]);
  expect(userErrors).toEqual([]);
  const [target] = targets;
  expect(target).toMatchObject({ method: "PUT", uploadId: expect.stringMatching(/^upl_\w{22}$/) });
  expect(Date.parse(target.expiresAt)).toBeGreaterThan(Date.now());
  expect((await runFrom(target.uploadId)).userErrors).toMatchObject([
    { code: "UPLOAD_INCOMPLETE", path: ["input", "source", "uploadId"] },
  ]);
  expect(await put(target.url, bytes)).toMatchObject({
    status: 200,
    body: { uploadId: target.uploadId },
  });
  expect((await runFrom(target.uploadId)).run).toMatchObject({
    status: "QUEUED",
    image: { width: 100, height: 80 },
  });
  expect(await put(target.url, bytes)).toMatchObject({
    status: 404,
    body: { errors: [{ extensions: { code: "NOT_FOUND" } }] },
  });
});

test("other bytes than the announced ones are refused, and the true ones still taken", async () => {
  const { targets } = await prepare([{ byteSize: bytes.length, sha256: sha256(bytes) }]);
  const [{ url, uploadId }] = targets;
  const swapped = Buffer.from(bytes).fill(0, bytes.length - 1);
  expect(await put(url, swapped)).toMatchObject({
    status: 422,
    body: { errors: [{ extensions: { code: "INVALID" } }] },
  });
  expect(await put(url, bytes.subarray(1))).toMatchObject({ status: 422 });
  expect(await put(url, Buffer.concat([bytes, Buffer.from("x")]))).toMatchObject({
    status: 413,
    body: { errors: [{ extensions: { code: "SOURCE_TOO_LARGE" } }] },
  });
  expect(await put(url, Buffer.alloc(0))).toMatchObject({ status: 422 });
  expect((await runFrom(uploadId)).userErrors).toMatchObject([{ code: "UPLOAD_INCOMPLETE" }]);
  expect(await put(url, bytes)).toMatchObject({ status: 200 });
});

test("a URL that was tampered with admits nothing", async () => {
  const { targets } = await prepare([{ byteSize: bytes.length, sha256: sha256(bytes) }]);
  const { url } = targets[0];
  const wrong = [
    url.replace(/signature=./, "signature=~"),
    url.split("?")[0],
    url.replace(/upl_\w+/, "upl_unknown"),
    url.replace(/upl_\w+/, "..%2F..%2Fsecret"),
  ];
  for (const each of wrong) expect(await put(each, bytes)).toMatchObject({ status: 404 });
  expect(await send(here(url))).toMatchObject({ status: 405 });
});

const ends: [string, (keyId: string) => Promise<unknown>][] = [
  ["was revoked", (keyId) => gateway.ports.tenants.revokeKey("ada", keyId, Date.now())],
  ["has expired", (keyId) => expireNow(keyId)],
  ["is of a disabled tenant", () => gateway.ports.tenants.setDisabled("ada", 1)],
];

function expireNow(keyId: string): Promise<boolean> {
  const { key } = mintKey(grantOf("ada"), gateway.secret, 0);
  return gateway.ports.tenants.replaceKey(key, { keyId, expiresAt: Date.now() });
}

test.each(ends)("a URL whose key %s admits nothing, even what is half sent", async (_name, end) => {
  const { key, text } = mintKey(grantOf("ada"), gateway.secret, 0);
  await gateway.ports.tenants.createKey(key);
  const files = [1, 2].map(() => ({ byteSize: bytes.length, sha256: sha256(bytes) }));
  const [early, late] = (await prepare(files, `Bearer ${text}`)).targets;
  const sending = new TransformStream<Uint8Array, Uint8Array>();
  const writer = sending.writable.getWriter();
  const halfSent = fetch(here(early.url), {
    method: "PUT",
    body: sending.readable,
    duplex: "half",
  } as RequestInit);
  await writer.write(new Uint8Array(bytes.subarray(0, 50)));
  await end(key.id);
  await writer.write(new Uint8Array(bytes.subarray(50)));
  await writer.close();
  expect((await halfSent).status).toBe(404);
  expect((await put(late.url, bytes)).status).toBe(404);
  await gateway.ports.tenants.setDisabled("ada", null);
  for (const { uploadId } of [early, late])
    expect((await runFrom(uploadId)).userErrors).toMatchObject([{ code: "UPLOAD_INCOMPLETE" }]);
});

test("what was uploaded is read like any other image", async () => {
  const pdf = Buffer.from("%PDF-1.7 and so on");
  const { targets } = await prepare([{ byteSize: pdf.length, sha256: sha256(pdf) }]);
  expect(await put(targets[0].url, pdf)).toMatchObject({ status: 200 });
  expect((await runFrom(targets[0].uploadId)).userErrors).toMatchObject([
    { code: "SOURCE_UNSUPPORTED", path: ["input", "source", "uploadId"] },
  ]);
});

test("files are refused one by one, targets stay in their places", async () => {
  const good = { byteSize: 1, sha256: "0".repeat(64) };
  const { targets, userErrors } = await prepare([
    { ...good, byteSize: 0 },
    good,
    { ...good, byteSize: 20_000_001 },
    { ...good, sha256: "abc" },
  ]);
  expect(targets.map((target: object | null) => target !== null)).toEqual([
    false,
    true,
    false,
    false,
  ]);
  expect(userErrors).toEqual([
    { path: ["input", "files", "0", "byteSize"], code: "INVALID" },
    { path: ["input", "files", "2", "byteSize"], code: "SOURCE_TOO_LARGE" },
    { path: ["input", "files", "3", "sha256"], code: "INVALID" },
  ]);
  for (const count of [0, 101]) {
    expect(await prepare(Array.from({ length: count }, () => good))).toEqual({
      targets: [],
      userErrors: [{ path: ["input", "files"], code: "INVALID" }],
    });
  }
});

test("a gateway whose clients upload elsewhere has no upload path", async () => {
  const other = await startForTest({}, (ports) => ({ ...ports, uploads: null }));
  expect(
    (await send(`${other.url}/uploads/upl_x?signature=x`, { method: "PUT", body: "x" })).status,
  ).toBe(404);
});
