import { createHash } from "node:crypto";

/** What is smaller than this is worked on at once. */
const pieceBytes = 1 << 20;

let last: Promise<void> = Promise.resolve();

/**
 * Resolves in a turn of the event loop that no other caller has, so that of many large pieces of
 * work one is done between two looks at the sockets.
 */
export function ownTurn(): Promise<void> {
  last = last.then(() => new Promise<void>((resolve) => setImmediate(resolve)));
  return last;
}

/** sha256 in hexadecimal, a megabyte a turn. */
export async function sha256InTurns(bytes: Uint8Array): Promise<string> {
  const hash = createHash("sha256");
  for (let at = 0; at < bytes.byteLength; at += pieceBytes) {
    if (at > 0) await ownTurn();
    hash.update(bytes.subarray(at, at + pieceBytes));
  }
  return hash.digest("hex");
}

/**
 * The bytes that base64 stands for, a megabyte of text a turn; null if the text is not base64 with
 * padding and without spaces.
 */
export async function base64InTurns(text: string): Promise<Uint8Array | null> {
  if (text === "" || text.length % 4 !== 0) return null;
  const bytes = Buffer.allocUnsafe((text.length / 4) * 3);
  let size = 0;
  for (let at = 0; at < text.length; at += pieceBytes) {
    if (at > 0) await ownTurn();
    const piece = text.slice(at, at + pieceBytes);
    const isLast = at + pieceBytes >= text.length;
    size += bytes.write(piece, size, "base64");
    if (!isBase64(piece, bytes.subarray((at / 4) * 3, size), isLast)) return null;
  }
  return bytes.subarray(0, size);
}

/**
 * Whether Node.js passed over nothing. Only the last 4 characters may have padding, and bits that
 * mean nothing.
 */
function isBase64(piece: string, bytes: Buffer, isLast: boolean): boolean {
  if (!isLast) return bytes.toString("base64") === piece;
  const whole = piece.length - 4;
  return (
    /^[A-Za-z0-9+/]{2}([A-Za-z0-9+/]{2}|[A-Za-z0-9+/]=|==)$/.test(piece.slice(whole)) &&
    bytes.toString("base64", 0, (whole / 4) * 3) === piece.slice(0, whole)
  );
}
