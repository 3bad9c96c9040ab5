import { limits } from "../core/limits.ts";
import { refusal } from "./refusal.ts";
import { ownTurn } from "./turns.ts";

/** The parts of a GraphQL request over HTTP that are taken; `extensions` is not. */
export interface GraphqlRequest {
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly operationName: string | null;
}

/**
 * Reads one GraphQL request: POST, JSON, one operation, within the limits; or the response that
 * refuses it.
 */
export async function readGraphqlRequest(request: Request): Promise<GraphqlRequest | Response> {
  const text = await readText(request, limits.request.bodyBytesMax);
  if (text instanceof Response) return text;
  if (text.length > largeText) await ownTurn();
  const body = parseJson(text);
  if (Array.isArray(body))
    return badRequest("Send one operation per request; batches are not taken.");
  if (!isRecord(body) || typeof body.query !== "string")
    return badRequest('Send a JSON object with the operation as "query".');
  if (Buffer.byteLength(body.query) > limits.request.documentBytesMax) {
    return badRequest(
      `The document has more than ${limits.request.documentBytesMax} bytes; move data into variables.`,
    );
  }
  const { query, variables = null, operationName = null } = body;
  if (variables !== null && !isRecord(variables))
    return badRequest('"variables" must be an object.');
  if (operationName !== null && typeof operationName !== "string")
    return badRequest('"operationName" must be a string.');
  return { query, variables: variables ?? {}, operationName };
}

/** The refusal of GET and the like, for those who meet it: clients of GraphQL by their defaults. */
export function refuseMethod(path: "/graphql" | "/graphql/stream"): Response {
  const hint =
    path === "/graphql"
      ? "Send operations with POST. urql: set `preferGetMethod: false`."
      : "Send each subscription with a POST of its own. graphql-sse: leave `singleConnection` out.";
  return refusal(405, "METHOD_NOT_ALLOWED", hint, { allow: "POST" });
}

/** Whether an answer is wanted as server-sent events and as nothing else. */
export function wantsEventsOnly(request: Request): boolean {
  const accept = request.headers.get("accept") ?? "";
  return accept.includes("text/event-stream") && !/json|\*\//.test(accept);
}

/** The refusal of an event stream where there is none. */
export function refuseEvents(): Response {
  const hint =
    "This path answers as JSON. Event streams, as graphql-sse reads them: /graphql/stream.";
  return refusal(406, "NOT_ACCEPTABLE", hint);
}

/** Whether the body is declared as JSON, in UTF-8 however that is spelled. */
export function isJson(request: Request): boolean {
  const { mediaType, charset } = contentTypeOf(request);
  return mediaType === "application/json" && /^utf-?8$/.test(charset ?? "utf-8");
}

/**
 * The refusal of a body that is not JSON in UTF-8; it names what the body is and what is wanted.
 */
export function refuseMediaType(request: Request): Response {
  const { mediaType, charset } = contentTypeOf(request);
  const wanted = "Send operations as content-type application/json, in UTF-8.";
  const words = {
    "multipart/form-data": `Files do not travel with an operation: ask for an upload with uploadsCreate, PUT the file there, and use source: { uploadId }. ${wanted}`,
    "application/json": `The charset ${JSON.stringify(charset)} is not taken. ${wanted}`,
  };
  const message = new Map(Object.entries(words)).get(mediaType) ?? wanted;
  return refusal(415, "UNSUPPORTED_MEDIA_TYPE", message);
}

function contentTypeOf(request: Request): { mediaType: string; charset: string | null } {
  const [mediaType = "", ...parameters] = (request.headers.get("content-type") ?? "")
    .toLowerCase()
    .split(";")
    .map((part) => part.trim());
  const charset = parameters.find((parameter) => parameter.startsWith("charset="));
  const value = charset?.slice("charset=".length) ?? null;
  return { mediaType, charset: value?.replace(/^"(.*)"$/, "$1") ?? null };
}

/** The whole body; or the refusal of one that is longer than `bytesMax`, or not UTF-8. */
export async function readText(request: Request, bytesMax: number): Promise<string | Response> {
  const tooLarge = refusal(
    413,
    "PAYLOAD_TOO_LARGE",
    `The body has more than ${bytesMax} bytes; upload images with uploadsCreate.`,
  );
  if (Number(request.headers.get("content-length") ?? 0) > bytesMax) return tooLarge;
  // Takes a byte-order mark away, as JSON.parse does not (RFC 8259, section 8.1). Bytes that are
  // not UTF-8 are refused: their replacement would make one of two different texts.
  const utf8 = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength;
    if (size > bytesMax) return tooLarge;
    const part = decoded(utf8, chunk);
    if (part === null) return notUtf8();
    text += part;
  }
  const end = decoded(utf8);
  return end === null ? notUtf8() : text + end;
}

function decoded(utf8: InstanceType<typeof TextDecoder>, chunk?: Uint8Array): string | null {
  try {
    return utf8.decode(chunk, { stream: chunk !== undefined });
  } catch {
    return null;
  }
}

function notUtf8(): Response {
  return badRequest("The body is not UTF-8.");
}

/** The JSON of more characters is read in a turn of its own. */
const largeText = 256 * 1_024;

/** Undefined where the text is not JSON; no JSON text means that. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function badRequest(message: string): Response {
  return refusal(400, "BAD_REQUEST", message);
}
