import { createHash } from "node:crypto";
import { type FileHandle, open, readdir, rename, rm, rmdir } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import {
  diskError,
  makeFolder,
  removeDrafts,
  syncFolder,
  writeFileDurably,
} from "../adapters/disk.ts";
import { packageVersion } from "../adapters/package-root.ts";
import { AppError } from "../core/errors.ts";
import type { StoredImage } from "../core/run.ts";
import type { Tenant } from "../core/tenant.ts";
import {
  type ExportKind,
  type ExportPlace,
  type ExportPorts,
  exportKinds,
  exportPage,
} from "../core/tenant-export.ts";

/** DIR/manifest.json of an export, written last: docs/tenant-export.md. */
export interface ExportManifest {
  /** Of this folder; a later form has another number. */
  readonly format: 1;
  /** The release of Vedere that wrote it. */
  readonly version: string;
  readonly exportedAt: string;
  readonly tenantId: string;
  readonly name: string;
  readonly files: readonly {
    readonly path: string;
    readonly kind: ExportKind;
    readonly records: number;
    readonly byteSize: number;
    readonly sha256: string;
  }[];
  /** Their sha256 stand in image.jsonl. */
  readonly images: { readonly count: number; readonly byteSize: number };
  /** Images of which there is a record and no file, or another one; they are not counted. */
  readonly faults: readonly string[];
}

const recordsAtOnce = 100;

/**
 * Writes all that belongs to a tenant into a folder that is empty or not there yet: a file of JSON
 * lines for each kind of record, and the images. Memory holds a page and an image at a time. The
 * folder holds something only when all of it is on the disk. Throws AppError INVALID if the folder
 * holds something, INTERNAL from the disk.
 */
export async function exportTenant(
  ports: ExportPorts,
  tenant: Tenant,
  given: { readonly folder: string },
): Promise<{ readonly folder: string; readonly manifest: ExportManifest }> {
  const folder = resolve(given.folder);
  const draft = `${folder}.${process.pid}.draft`;
  try {
    await requireEmpty(folder);
    makeFolder(dirname(folder));
    await removeDrafts(dirname(folder), `${basename(folder)}.`);
    makeFolder(draft);
    const manifest = await fill(ports, tenant, draft);
    const bytes = Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`);
    await writeFileDurably(join(draft, "manifest.json"), [bytes]);
    await rmdir(folder).catch(unlessMissing); // throws if something came into it meanwhile
    await rename(draft, folder);
    await syncFolder(dirname(folder));
    return { folder, manifest };
  } catch (error) {
    throw diskError(error, folder);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

async function requireEmpty(folder: string): Promise<void> {
  const names = await readdir(folder).catch(unlessMissing);
  if ((names ?? []).length === 0) return;
  throw new AppError("INVALID", `${folder} is not empty.`, {
    fix: "Name a new folder. An export that was cut off left nothing: begin it again.",
  });
}

async function fill(ports: ExportPorts, tenant: Tenant, draft: string): Promise<ExportManifest> {
  const exportedAt = new Date(ports.clock.now()).toISOString();
  const files = new Map<ExportKind, JsonLines>();
  const images = { count: 0, byteSize: 0 };
  const faults: string[] = [];
  try {
    for (const kind of exportKinds) files.set(kind, await openLines(draft, `${kind}.jsonl`));
    let place: ExportPlace | null = null;
    do {
      const page = await exportPage(ports, tenant, {
        first: recordsAtOnce,
        place,
        isOperator: true,
      });
      for (const { kind, data } of page.records) {
        if (kind === "image") {
          const found = await copyImage(ports, tenant.id, { draft, image: data as StoredImage });
          if (found === "gone") continue;
          if (found === "copied") {
            images.count += 1;
            images.byteSize += (data as StoredImage).byteSize;
          } else faults.push(found);
        }
        await files.get(kind)?.write(data);
      }
      place = page.next;
    } while (place !== null);
    const written = [];
    for (const [kind, file] of files) written.push({ kind, ...(await file.end()) });
    const about = { tenantId: tenant.id, name: tenant.name };
    const version = packageVersion();
    return { format: 1, version, exportedAt, ...about, files: written, images, faults };
  } finally {
    for (const file of files.values()) await file.close();
  }
}

/** Says what is wrong with it, if something is; `gone`: it was deleted meanwhile. */
async function copyImage(
  { images }: ExportPorts,
  tenantId: string,
  { draft, image }: { draft: string; image: StoredImage },
): Promise<string> {
  const bytes = await images.read(tenantId, image.id).catch(unlessMissing);
  if (!bytes) {
    const isThere = (await images.get(tenantId, image.id)) !== null;
    return isThere ? `${image.id} has no file` : "gone";
  }
  if (createHash("sha256").update(bytes).digest("hex") !== image.sha256)
    return `${image.id} has a file with another sha256 than recorded`;
  await writeFileDurably(join(draft, imagePath(image)), [bytes]);
  return "copied";
}

/** Of an image in an export. */
function imagePath({ id, mediaType }: StoredImage): string {
  return `images/${id}.${mediaType.replace("image/", "").replace("jpeg", "jpg")}`;
}

function unlessMissing(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT") return null;
  throw error;
}

interface JsonLines {
  write(data: object): Promise<void>;
  /** Once everything is on the disk. */
  end(): Promise<{ path: string; records: number; byteSize: number; sha256: string }>;
  close(): Promise<void>;
}

async function openLines(folder: string, path: string): Promise<JsonLines> {
  const file: FileHandle = await open(join(folder, path), "wx", 0o600);
  const hash = createHash("sha256");
  let [records, byteSize, isOpen] = [0, 0, true];
  const close = async () => {
    if (isOpen) await file.close();
    isOpen = false;
  };
  return {
    async write(data) {
      const line = Buffer.from(`${JSON.stringify(data)}\n`);
      await file.writeFile(line);
      hash.update(line);
      records += 1;
      byteSize += line.length;
    },
    async end() {
      await file.sync();
      await close();
      return { path, records, byteSize, sha256: hash.digest("hex") };
    },
    close,
  };
}
