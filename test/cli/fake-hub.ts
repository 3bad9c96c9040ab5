import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";

const nano = join(import.meta.dirname, "../../models/florence-2-nano");
const contents = [
  "config.json",
  "generation_config.json",
  "preprocessor_config.json",
  "tokenizer.json",
];
const graphs = ["vision_encoder", "embed_tokens", "encoder_model", "decoder_model_merged"].map(
  (name) => `onnx/${name}.onnx`,
);

/** What the hub does wrong; cleared by the tests as they go. */
export interface Mischief {
  /** Hang up after this many bytes of a file, this many times; not before `until` resolves. */
  breakOff: {
    path: string;
    afterBytes: number;
    times: number;
    until?: () => Promise<unknown>;
  } | null;
  /** Send a file with one byte changed. */
  corrupt: string | null;
}

/**
 * A server with the few endpoints of the hub that a pull needs. Its only repository, whatever its
 * name, holds the embedded model.
 */
export interface FakeHub {
  readonly endpoint: string;
  readonly commit: string;
  readonly mischief: Mischief;
  /** Of downloads, as `path range`. */
  readonly downloads: string[];
  close(): Promise<void>;
}

export async function startFakeHub(): Promise<FakeHub> {
  const commit = "0123456789abcdef0123456789abcdef01234567";
  const files = new Map(
    [...contents, ...graphs].map((path) => [path, readFileSync(join(nano, path))]),
  );
  const mischief: Mischief = { breakOff: null, corrupt: null };
  const downloads: string[] = [];

  function answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", "http://hub");
    const json = (body: unknown) =>
      response.setHeader("content-type", "application/json").end(JSON.stringify(body));
    if (url.pathname.startsWith("/api/models/missing/")) {
      response.statusCode = 401; // the hub does not tell who is not signed in whether it is there
      return void json({ error: "Invalid username or password." });
    }
    if (/^\/api\/models\/[^/]+\/[^/]+\/revision\/(main|v1)$/.test(url.pathname))
      return void json({ _id: "1", id: "any/any", sha: commit });
    if (url.pathname.endsWith(`/tree/${commit}`)) return void json([...files].map(treeEntry));
    const [, place, path = ""] = /\/(resolve\/[^/]+|cdn)\/(.+)$/.exec(url.pathname) ?? [];
    const bytes = place === "cdn" || place === `resolve/${commit}` ? files.get(path) : undefined;
    // Large files lie elsewhere; what leads there tells their size and sha256.
    if (bytes && place !== "cdn" && path.endsWith(".onnx")) {
      const sha256 = createHash("sha256").update(bytes).digest("hex");
      const linked = { "x-linked-size": bytes.length, "x-linked-etag": `"${sha256}"` };
      response.writeHead(302, { ...linked, location: `/cdn/${path}?signed=1` }).end();
    } else if (bytes) {
      sendFile(request, response, path, bytes);
    } else {
      response.statusCode = 404;
      response.end();
    }
  }

  function sendFile(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    whole: Buffer,
  ): void {
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    const isProbe = request.headers.range === "bytes=0-0";
    const from = Number(range?.[1] ?? 0);
    const to = Number(range?.[2] ?? whole.length - 1);
    if (!isProbe) downloads.push(`${path} ${request.headers.range ?? "whole"}`);
    const sent = Buffer.from(whole.subarray(from, to + 1));
    if (mischief.corrupt === path) sent.writeUInt8(sent.readUInt8(0) ^ 1, 0);
    const headers = { etag: `"${path}"`, "content-length": sent.length };
    response.writeHead(
      range ? 206 : 200,
      range ? { ...headers, "content-range": `bytes ${from}-${to}/${whole.length}` } : headers,
    );
    const breakOff =
      mischief.breakOff?.path === path && mischief.breakOff.times > 0 && !isProbe
        ? mischief.breakOff
        : null;
    if (!breakOff) return void response.end(sent);
    breakOff.times -= 1;
    const hangUp = () => response.destroy();
    response.write(sent.subarray(0, breakOff.afterBytes), () =>
      breakOff.until ? breakOff.until().finally(hangUp) : hangUp(),
    );
  }

  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    commit,
    mischief,
    downloads,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** As the hub lists it: large files with their sha256, small ones with git's id of the blob. */
function treeEntry([path, bytes]: [string, Buffer]) {
  const entry = {
    type: "file",
    path,
    size: bytes.length,
    oid: createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex"),
  };
  if (!path.endsWith(".onnx")) return entry;
  return {
    ...entry,
    oid: "f".repeat(40),
    lfs: {
      oid: createHash("sha256").update(bytes).digest("hex"),
      size: bytes.length,
      pointerSize: 132,
    },
  };
}
