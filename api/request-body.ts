import { limits } from "../core/limits.ts";
import { refusal } from "./refusal.ts";

/** The parts of a GraphQL request over HTTP that are taken; `extensions` is not. */
export interface GraphqlRequest {
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly operationName: string | null;
}

/** Reads one GraphQL request: POST, JSON, one operation, within the limits; or the response that refuses it. */
export async function readGraphqlRequest(request: Request): Promise<GraphqlRequest | Response> {
  const text = await readText(request, limits.request.bodyBytesMax);
  if (text instanceof Response) return text;
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

/** Whether the body is declared as JSON, in UTF-8. */
export function isJson(request: Request): boolean {
  const [mediaType, ...parameters] = (request.headers.get("content-type") ?? "")
    .toLowerCase()
    .split(";")
    .map((part) => part.trim());
  const charset = parameters.find((parameter) => parameter.startsWith("charset="));
  return (
    mediaType === "application/json" &&
    (charset === undefined || /^charset="?utf-8"?$/.test(charset))
  );
}

async function readText(request: Request, bytesMax: number): Promise<string | Response> {
  const tooLarge = refusal(
    413,
    "PAYLOAD_TOO_LARGE",
    `The body has more than ${bytesMax} bytes; upload images with uploadsCreate.`,
  );
  if (Number(request.headers.get("content-length") ?? 0) > bytesMax) return tooLarge;
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength;
    if (size > bytesMax) return tooLarge;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size).toString("utf8");
}

/** Undefined where the text is not JSON; no JSON text means that. */
function parseJson(text: string): unknown {
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
