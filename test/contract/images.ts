import { createHash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Clock, Images, Upload, UploadReceiver, UploadTarget } from "../../core/ports.ts";
import type { StoredImage } from "../../core/run.ts";
import { fakeClock } from "./fake-clock.ts";

/** What `open` gives: an empty store, and the same store as another process sees it. */
export interface OpenImages {
  readonly images: Images;
  readonly elsewhere: Images;
  /** Does what a client does with an upload's target. */
  put(target: UploadTarget, body: readonly Uint8Array[]): Promise<void>;
  close(): Promise<void>;
}

const bytes = Buffer.from("these bytes stand for a picture");
const sha256 = createHash("sha256").update(bytes).digest("hex");
const image: StoredImage = {
  id: "img_1",
  sha256,
  mediaType: "image/png",
  byteSize: bytes.length,
  width: 4,
  height: 3,
};

/** What every store of images promises. */
export function imagesContract(name: string, open: (clock: Clock) => Promise<OpenImages>): void {
  describe(`images: ${name}`, () => {
    let store: OpenImages;
    let images: Images;
    let clock: ReturnType<typeof fakeClock>;
    let upload: Upload;
    beforeEach(async () => {
      clock = fakeClock();
      store = await open(clock);
      images = store.images;
      upload = { id: "upl_1", byteSize: bytes.length, sha256, expiresAt: clock.now() + 60_000 };
    });
    afterEach(() => store.close());

    test("a stored image reads back as it was, here and elsewhere", async () => {
      await images.put("ten_1", image, bytes);
      for (const reader of [images, store.elsewhere]) {
        expect(await reader.get("ten_1", "img_1")).toEqual(image);
        expect(Buffer.from((await reader.read("ten_1", "img_1")) ?? [])).toEqual(bytes);
      }
    });

    test("a tenant's images are listed by id, in pages", async () => {
      for (const id of ["img_3", "img_1", "img_2", "img_B"])
        await images.put("ten_1", { ...image, id }, bytes);
      await images.put("ten_2", { ...image, id: "img_4" }, bytes);
      const list = (first: number, after: string | null) =>
        store.elsewhere.list("ten_1", { first, after });
      expect(await list(3, null)).toEqual(
        ["img_1", "img_2", "img_3"].map((id) => ({ ...image, id })),
      );
      expect(await list(3, "img_3")).toEqual([{ ...image, id: "img_B" }]);
      expect(await list(3, "img_B")).toEqual([]);
      expect(await store.elsewhere.list("ten_9", { first: 3, after: null })).toEqual([]);
    });

    test("storing the same image twice, or in two places at once, changes nothing", async () => {
      await Promise.all(
        [images, store.elsewhere, images].map((writer) => writer.put("ten_1", image, bytes)),
      );
      await images.put("ten_1", image, bytes);
      expect(await images.get("ten_1", "img_1")).toEqual(image);
      expect(Buffer.from((await images.read("ten_1", "img_1")) ?? [])).toEqual(bytes);
    });

    test("what was odd about a file is kept with the image", async () => {
      const odd: StoredImage = { ...image, id: "img_2", warnings: ["END_MARKER_MISSING"] };
      await images.put("ten_1", odd, bytes);
      expect(await store.elsewhere.get("ten_1", "img_2")).toEqual(odd);
    });

    test("another tenant's image is as if it were not there", async () => {
      await images.put("ten_1", image, bytes);
      expect(await images.get("ten_2", "img_1")).toBeNull();
      expect(await images.read("ten_2", "img_1")).toBeNull();
    });

    test.each(["img_none", "../img_1", "../../secret.key", ""])(
      "the id %j, which no image has, is null",
      async (id) => {
        await images.put("ten_1", image, bytes);
        expect(await images.get("ten_1", id)).toBeNull();
        expect(await images.read("ten_1", id)).toBeNull();
        expect(await images.getUpload("ten_1", id)).toBeNull();
        expect(await images.readUpload("ten_1", id)).toBeNull();
      },
    );

    test("what is PUT to an upload's target can be read, elsewhere too, once it is whole", async () => {
      const target = await images.createUpload("ten_1", upload);
      expect(target.method).toBe("PUT");
      expect(await images.getUpload("ten_1", "upl_1")).toEqual(upload);
      expect(await images.readUpload("ten_1", "upl_1")).toBeNull();
      await store.put(target, [bytes.subarray(0, 10), bytes.subarray(10)]);
      for (const reader of [images, store.elsewhere]) {
        expect(await reader.getUpload("ten_1", "upl_1")).toEqual(upload);
        expect(Buffer.from((await reader.readUpload("ten_1", "upl_1")) ?? [])).toEqual(bytes);
      }
    });

    test("another tenant's upload is as if it were not there", async () => {
      await store.put(await images.createUpload("ten_1", upload), [bytes]);
      expect(await images.getUpload("ten_2", "upl_1")).toBeNull();
      expect(await images.readUpload("ten_2", "upl_1")).toBeNull();
    });

    const refusals: { what: string; body: Uint8Array[] }[] = [
      { what: "fewer bytes", body: [bytes.subarray(1)] },
      { what: "no bytes", body: [] },
      { what: "more bytes", body: [bytes, Buffer.from("!")] },
      { what: "other bytes", body: [Buffer.from(bytes).fill("x")] },
    ];
    test.each(refusals)(
      "$what than announced are refused, nothing is kept, and the upload can still be made",
      async ({ body }) => {
        const target = await images.createUpload("ten_1", upload);
        await expect(store.put(target, body)).rejects.toThrow();
        expect(await images.readUpload("ten_1", "upl_1")).toBeNull();
        await store.put(target, [bytes]);
        expect(await images.readUpload("ten_1", "upl_1")).not.toBeNull();
      },
    );

    test("an expired target takes nothing", async () => {
      const target = await images.createUpload("ten_1", upload);
      clock.advance(60_000);
      await expect(store.put(target, [bytes])).rejects.toThrow();
      expect(await images.readUpload("ten_1", "upl_1")).toBeNull();
    });
  });
}

/** What `open` gives: a store whose uploads the gateway takes. */
export interface OpenReceiver {
  readonly images: Images;
  readonly uploads: UploadReceiver;
  close(): Promise<void>;
}

/** What every receiver of uploads promises about what it refuses. */
export function uploadReceiverContract(
  name: string,
  open: (clock: Clock) => Promise<OpenReceiver>,
): void {
  describe(`upload receiver: ${name}`, () => {
    let store: OpenReceiver;
    let clock: ReturnType<typeof fakeClock>;
    let signature: string;
    beforeEach(async () => {
      clock = fakeClock();
      store = await open(clock);
      const target = await store.images.createUpload("ten_1", {
        id: "upl_1",
        byteSize: bytes.length,
        sha256,
        expiresAt: clock.now() + 60_000,
      });
      signature = new URL(target.url).searchParams.get("signature") ?? "";
    });
    afterEach(() => store.close());

    async function* body(...chunks: Uint8Array[]) {
      yield* chunks;
    }

    test("fewer bytes or another sha256 are INVALID, more bytes SOURCE_TOO_LARGE", async () => {
      const accept = (...chunks: Uint8Array[]) =>
        store.uploads.accept("upl_1", signature, body(...chunks));
      await expect(accept(bytes.subarray(1))).rejects.toMatchObject({ code: "INVALID" });
      await expect(accept(Buffer.from(bytes).fill("x"))).rejects.toMatchObject({ code: "INVALID" });
      await expect(accept(bytes, bytes)).rejects.toMatchObject({ code: "SOURCE_TOO_LARGE" });
    });

    test("an endless body is cut off at the announced size", async () => {
      let sent = 0;
      async function* endless() {
        for (;;) {
          sent += 10;
          yield Buffer.alloc(10);
        }
      }
      await expect(store.uploads.accept("upl_1", signature, endless())).rejects.toMatchObject({
        code: "SOURCE_TOO_LARGE",
      });
      expect(sent).toBeLessThanOrEqual(bytes.length + 10);
    });

    test("a body that breaks off keeps nothing and passes its error on", async () => {
      async function* broken() {
        yield bytes.subarray(0, 5);
        throw new Error("the connection was reset");
      }
      await expect(store.uploads.accept("upl_1", signature, broken())).rejects.toThrow(
        "the connection was reset",
      );
      expect(await store.images.readUpload("ten_1", "upl_1")).toBeNull();
    });

    test("unknown, expired, wrongly signed and used uploads are one and the same NOT_FOUND", async () => {
      const refused = async (id: string, signed: string) => {
        const error: unknown = await store.uploads
          .accept(id, signed, body(bytes))
          .catch((cause: unknown) => cause);
        expect(error).toMatchObject({ code: "NOT_FOUND" });
        return String(error);
      };
      const wrong = `${signature.startsWith("A") ? "B" : "A"}${signature.slice(1)}`;
      const answers = [
        await refused("upl_2", signature),
        await refused("upl_1", wrong),
        await refused("upl_1", ""),
      ];
      expect(await store.images.readUpload("ten_1", "upl_1")).toBeNull();
      await store.uploads.accept("upl_1", signature, body(bytes));
      answers.push(await refused("upl_1", signature));
      clock.advance(60_000);
      answers.push(await refused("upl_1", signature));
      expect(new Set(answers).size).toBe(1);
    });

    test("of two PUTs at once, one is taken", async () => {
      const both = await Promise.allSettled(
        [1, 2].map(() => store.uploads.accept("upl_1", signature, body(bytes))),
      );
      expect(both.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
      expect(Buffer.from((await store.images.readUpload("ten_1", "upl_1")) ?? [])).toEqual(bytes);
    });
  });
}
