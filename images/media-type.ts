import type { StoredImage } from "../core/run.ts";

/**
 * What a file is by its first bytes: a type that is taken, or the name of one that is not. The
 * declared type and the name never count.
 */
export function sniffMediaType(
  bytes: Uint8Array,
): { mediaType: StoredImage["mediaType"] } | { mediaType: null; looksLike: string; fix?: string } {
  const head = Buffer.from(
    bytes.buffer,
    bytes.byteOffset,
    Math.min(bytes.byteLength, headBytes),
  ).toString("latin1");
  const taken = takenTypes.find(({ marks }) => bears(head, marks));
  if (taken) return { mediaType: taken.mediaType };
  const looksLike =
    knownOthers.find(({ marks }) => bears(head, marks))?.name ??
    knownTexts.find(({ pattern }) => pattern.test(head))?.name;
  if (looksLike) return { mediaType: null, looksLike };
  if (bytes.byteLength > 0 && sniffMediaType(decodedHead(head)).mediaType !== null)
    return {
      mediaType: null,
      looksLike: "an image encoded as base64 once more",
      fix: "Encode the file's bytes once.",
    };
  return { mediaType: null, looksLike: "no image that is known here" };
}

/** What a head of base64 text stands for; empty if it is none, so that the search ends. */
function decodedHead(head: string): Uint8Array {
  return /^[A-Za-z0-9+/\s]+=*\s*$/.test(head) ? Buffer.from(head, "base64") : new Uint8Array(0);
}

/** SVG may begin with a declaration and comments. */
const headBytes = 1024;

/** Bytes, as Latin-1 text, by the offset at which they stand. */
type Marks = Readonly<Record<number, string>>;

const takenTypes: readonly { marks: Marks; mediaType: StoredImage["mediaType"] }[] = [
  { marks: { 0: "\xff\xd8\xff" }, mediaType: "image/jpeg" },
  { marks: { 0: "\x89PNG\r\n\x1a\n" }, mediaType: "image/png" },
  { marks: { 0: "RIFF", 8: "WEBP" }, mediaType: "image/webp" },
  { marks: { 0: "GIF87a" }, mediaType: "image/gif" },
  { marks: { 0: "GIF89a" }, mediaType: "image/gif" },
];

const knownOthers: readonly { marks: Marks; name: string }[] = [
  { marks: { 0: "%PDF-" }, name: "PDF" },
  { marks: { 0: "II*\0" }, name: "TIFF" },
  { marks: { 0: "MM\0*" }, name: "TIFF" },
  { marks: { 4: "ftypavi" }, name: "AVIF" },
  { marks: { 4: "ftyphei" }, name: "HEIC" },
  { marks: { 4: "ftyphev" }, name: "HEIC" },
  { marks: { 4: "ftypmif1" }, name: "HEIC" },
  { marks: { 4: "ftyp" }, name: "a video" },
  { marks: { 0: "BM" }, name: "BMP" },
  { marks: { 0: "\0\0\x01\0" }, name: "an icon (ICO)" },
  { marks: { 0: "\xff\x0a" }, name: "JPEG XL" },
  { marks: { 4: "JXL " }, name: "JPEG XL" },
  { marks: { 4: "jP  " }, name: "JPEG 2000" },
  { marks: { 0: "8BPS" }, name: "a Photoshop file" },
  { marks: { 0: "PK\x03\x04" }, name: "a ZIP archive" },
  { marks: { 0: "\x1f\x8b" }, name: "gzip" },
];

const knownTexts: readonly { pattern: RegExp; name: string }[] = [
  { pattern: /<svg[\s>]/i, name: "SVG" },
  { pattern: /^\s*(<!doctype html|<html)/i, name: "an HTML page" },
  { pattern: /^\s*<\?xml/, name: "XML" },
  { pattern: /^\s*[{[]/, name: "JSON" },
  { pattern: /^data:/, name: "the text of a data: URL" },
];

function bears(head: string, marks: Marks): boolean {
  return Object.entries(marks).every(([offset, text]) => head.startsWith(text, Number(offset)));
}
