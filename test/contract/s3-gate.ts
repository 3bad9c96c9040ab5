import { createHash, createHmac } from "node:crypto";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { Clock } from "../../core/ports.ts";
import { awsConfig } from "./aws-emulators.ts";

/**
 * Stands before the emulated S3 and refuses what S3 refuses and fauxqs does not: a presigned PUT
 * that is expired, whose signature does not fit the request that came (path, parameters and every
 * signed header), or whose bytes have another sha256 than its header says. All else passes.
 */
export async function openGate(
  s3Endpoint: string,
  clock: Clock,
): Promise<{ endpoint: string; close(): Promise<void> }> {
  const server = createServer((incoming, answer) => {
    pass(incoming, answer, { s3Endpoint, now: clock.now() }).catch((error: unknown) =>
      answer.destroy(error instanceof Error ? error : undefined),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The gate has no port.");
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    close: () => new Promise((resolve) => server.close(() => resolve()).closeAllConnections()),
  };
}

async function pass(
  incoming: IncomingMessage,
  answer: ServerResponse,
  world: { s3Endpoint: string; now: number },
): Promise<void> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const url = new URL(incoming.url ?? "/", world.s3Endpoint);
  const refusal = url.searchParams.has("X-Amz-Signature")
    ? refusalOf(incoming, url, { body, now: world.now })
    : null;
  if (refusal) {
    answer
      .writeHead(refusal === "BadDigest" ? 400 : 403)
      .end(`<Error><Code>${refusal}</Code></Error>`);
    return;
  }
  const onward = request(url, { method: incoming.method, headers: incoming.headers }, (reply) => {
    answer.writeHead(reply.statusCode ?? 500, reply.headers);
    reply.pipe(answer);
  });
  onward.on("error", (error) => answer.destroy(error));
  onward.end(body);
}

function refusalOf(
  incoming: IncomingMessage,
  url: URL,
  { body, now }: { body: Buffer; now: number },
): string | null {
  const parameter = (name: string) => url.searchParams.get(`X-Amz-${name}`) ?? "";
  const date = parameter("Date");
  const signedAt = Date.parse(
    date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"),
  );
  if (now >= signedAt + Number(parameter("Expires")) * 1_000) return "AccessDenied";

  const scope = parameter("Credential").split("/").slice(1);
  const signedHeaders = parameter("SignedHeaders").split(";");
  const canonical = [
    incoming.method,
    url.pathname,
    canonicalQuery(url),
    ...signedHeaders.map((name) => `${name}:${String(incoming.headers[name] ?? "").trim()}`),
    "",
    signedHeaders.join(";"),
    "UNSIGNED-PAYLOAD",
  ].join("\n");
  const toSign = [
    "AWS4-HMAC-SHA256",
    date,
    scope.join("/"),
    createHash("sha256").update(canonical).digest("hex"),
  ].join("\n");
  let key: string | Buffer = `AWS4${awsConfig.credentials.secretAccessKey}`;
  for (const part of [...scope, toSign]) key = createHmac("sha256", key).update(part).digest();
  if (Buffer.from(key).toString("hex") !== parameter("Signature")) return "SignatureDoesNotMatch";

  const announced = incoming.headers["x-amz-checksum-sha256"];
  return announced === undefined || announced === createHash("sha256").update(body).digest("base64")
    ? null
    : "BadDigest";
}

function canonicalQuery(url: URL): string {
  const encode = (text: string) =>
    encodeURIComponent(text).replace(
      /[!'()*]/g,
      (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`,
    );
  return [...url.searchParams]
    .filter(([name]) => name !== "X-Amz-Signature")
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join("&");
}
