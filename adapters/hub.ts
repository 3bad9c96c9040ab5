import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, type WriteStream } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import {
  downloadFile,
  HubApiError,
  type ListFileEntry,
  listFiles,
  modelInfo,
} from "@huggingface/hub";
import { EnvHttpProxyAgent, fetch as fetchThrough, Headers } from "undici";
import { AppError } from "../core/errors.ts";
import { diskError, makeFolder } from "./disk.ts";

/** Where a hub is, and who asks. */
export interface HubAccess {
  /** Without a slash at the end: https://huggingface.co */
  readonly endpoint: string;
  /** For gated and private repositories; null for public ones. */
  readonly token: string | null;
}

/** A repository's files at one commit. */
export interface Snapshot {
  /** owner/name */
  readonly repository: string;
  /** 40 hexadecimal digits: whatever a branch says later, these files stay the same. */
  readonly commit: string;
  readonly files: readonly HubFile[];
}

export interface HubFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** What the hub says of the bytes: their sha256 (large files), or git's sha1 of the blob. */
  readonly digest: { readonly algorithm: "sha256" | "git-sha1"; readonly hex: string };
}

/**
 * Lists the files of a repository, with the branch or tag resolved to its commit first. Throws
 * AppError MODEL_NOT_FOUND, MODEL_UNAVAILABLE.
 */
export async function openSnapshot(
  hub: HubAccess,
  repository: string,
  revision: string,
): Promise<Snapshot> {
  return callHub(hub, repository, async (access) => {
    const { sha } = await modelInfo({
      ...access,
      name: repository,
      revision,
      additionalFields: ["sha"],
    });
    if (!sha || !/^[0-9a-f]{40}$/.test(sha))
      throw new TypeError(`The hub names no commit for ${repository} at ${revision}.`);
    const files: HubFile[] = [];
    for await (const entry of listFiles({
      ...access,
      repo: repository,
      revision: sha,
      recursive: true,
    })) {
      if (entry.type === "file") files.push(fileOf(entry));
    }
    return { repository, commit: sha, files };
  });
}

/**
 * Fetches one file of a snapshot into a folder. It grows as `<file>.part`, is checked against the
 * hub's digest, and only then takes its name; an interrupted download goes on where it stopped.
 * `onBytes` counts bytes up, those of an earlier attempt included. Throws AppError
 * MODEL_UNAVAILABLE.
 */
export async function fetchFile(
  hub: HubAccess,
  { repository, commit }: Pick<Snapshot, "repository" | "commit">,
  target: { file: HubFile; folder: string; onBytes: (bytes: number) => void },
): Promise<void> {
  const { file, onBytes } = target;
  const whole = path.join(target.folder, file.path);
  if ((await sizeOf(whole)) === file.sizeBytes) return onBytes(file.sizeBytes);
  const part = `${whole}.part`;
  makeFolder(path.dirname(whole), 0o777);
  if ((await sizeOf(part)) > file.sizeBytes) await rm(part);
  onBytes(await sizeOf(part));
  await callHub(hub, repository, async (access) => {
    const blob = await downloadFile({
      ...access,
      repo: repository,
      path: file.path,
      revision: commit,
      xet: false,
    });
    if (!blob) throw new TypeError(`The hub lists ${file.path} but does not have it.`);
    let emptyHanded = 0;
    for (let have = await sizeOf(part); have < file.sizeBytes; ) {
      const broken = await append(blob.slice(have), part, onBytes);
      const now = await sizeOf(part);
      // A connection that brought something is taken up again at once. What it brought may be lost
      // where it breaks: several that brought nothing are a fault to tell.
      emptyHanded = now === have ? emptyHanded + 1 : 0;
      if (emptyHanded === emptyHandedMax)
        throw broken?.error ?? new TypeError("the server sent nothing");
      have = now;
    }
  });
  await check(part, file);
  await rename(part, whole);
}

const emptyHandedMax = 3;

/**
 * Adds what comes to a file. Returns what broke the connection, if anything; throws AppError where
 * the disk refuses.
 */
async function append(
  blob: Blob,
  file: string,
  onBytes: (bytes: number) => void,
): Promise<{ error: unknown } | null> {
  const counted = async function* (chunks: AsyncIterable<Uint8Array>) {
    for await (const chunk of chunks) {
      onBytes(chunk.byteLength);
      yield chunk;
    }
  };
  const written = createWriteStream(file, { flags: "a" });
  try {
    await pipeline(Readable.fromWeb(blob.stream()), counted, written);
    return null;
  } catch (error) {
    await closed(written); // until then, a write may still come
    const refused = diskError(error, file);
    if (refused instanceof AppError) throw refused;
    return { error };
  }
}

function closed(file: WriteStream): Promise<void> {
  return new Promise((resolve) => (file.closed ? resolve() : file.once("close", resolve)));
}

async function check(part: string, file: HubFile): Promise<void> {
  const hash = createHash(file.digest.algorithm === "sha256" ? "sha256" : "sha1");
  if (file.digest.algorithm === "git-sha1") hash.update(`blob ${file.sizeBytes}\0`);
  await pipeline(createReadStream(part), hash);
  const found = hash.digest("hex");
  if (found === file.digest.hex) return;
  await rm(part);
  throw new AppError(
    "MODEL_UNAVAILABLE",
    `${file.path} arrived damaged: its ${file.digest.algorithm} is ${found}, the hub says ${file.digest.hex}.`,
    {
      fix: "It has been removed. Run the same command again; if it happens again, a proxy between here and the hub changes files.",
    },
  );
}

/** Calls the hub, and says what failed in words that help. */
async function callHub<T>(
  hub: HubAccess,
  repository: string,
  call: (access: Access) => Promise<T>,
): Promise<T> {
  const connections = new EnvHttpProxyAgent();
  try {
    return await call({
      fetch: fetchVia(connections),
      hubUrl: hub.endpoint,
      ...(hub.token ? { accessToken: hub.token } : {}),
    });
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    if (cause instanceof HubApiError && [401, 403, 404].includes(cause.statusCode)) {
      throw new AppError(
        "MODEL_NOT_FOUND",
        `${hub.endpoint} has no repository ${repository} at this revision, or does not show it to you.`,
        {
          fix: "Check the name (owner/name) and --revision; for a gated or private repository, set HF_TOKEN.",
          cause,
        },
      );
    }
    throw new AppError(
      "MODEL_UNAVAILABLE",
      `${repository} cannot be fetched from ${hub.endpoint}: ${reasonOf(cause)}.`,
      {
        fix:
          "Run the same command again: it goes on where it stopped. Behind a proxy, set HTTPS_PROXY; for a mirror, set HF_ENDPOINT. Without " +
          "network, copy the repository's folder (config.json, tokenizer.json, onnx/ …) from another machine to DATA/models/<name>.",
        cause,
      },
    );
  } finally {
    await connections.destroy(); // the hub's client leaves answers unread, which would hold their connections open
  }
}

interface Access {
  readonly fetch: typeof fetch;
  readonly hubUrl: string;
  readonly accessToken?: string;
}

/**
 * Node's own fetch knows no proxies before Node 24. A range that is asked for must be what comes.
 */
function fetchVia(dispatcher: EnvHttpProxyAgent): typeof fetch {
  const fetchChecked = async (...[input, init]: Parameters<typeof fetchThrough>) => {
    const response = await fetchThrough(input, { ...init, dispatcher });
    const range = new Headers(init?.headers).get("range");
    // bytes=0-0 only asks for the size: there a description of the file may come instead.
    if (range && range !== "bytes=0-0" && response.status !== 206)
      throw new TypeError("the server does not take up a broken download");
    return response;
  };
  return fetchChecked as unknown as typeof fetch; // undici's fetch is the same function as Node's, with types of its own
}

function fileOf(entry: ListFileEntry): HubFile {
  const digest = entry.lfs
    ? ({ algorithm: "sha256", hex: entry.lfs.oid } as const)
    : ({ algorithm: "git-sha1", hex: entry.oid ?? "" } as const);
  return { path: entry.path, sizeBytes: entry.lfs?.size ?? entry.size, digest };
}

async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => null))?.size ?? 0;
}

/** The innermost reason: fetch wraps what happened ("fetch failed"). */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.cause !== undefined) return reasonOf(error.cause);
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  return error.message || code || error.name;
}
