import type {
  APIGatewayProxyEventV2,
  APIGatewayProxyStructuredResultV2,
  Context,
} from "aws-lambda";
import { refusal } from "../../api/refusal.ts";
import { createGateway, type Gateway } from "../../api/server.ts";
import type { Queue } from "../../core/ports.ts";
import { openDecoders } from "../../images/decoders.ts";
import { connectCloud } from "./connect.ts";
import { requestOf, resultOf } from "./http-event.ts";
import { openKick } from "./kick.ts";

/**
 * HTTP APIs answer by themselves after 30 seconds: a long poll ends before, with the run as it then
 * is.
 */
const waitMsMax = 25_000;

let opening: Promise<Gateway> | null = null;

/**
 * The gateway as a function behind an HTTP API. Answers are whole: event streams need a server that
 * goes on (`vedere start --workers 0`).
 */
export async function handler(
  event: APIGatewayProxyEventV2,
  _context: Context,
): Promise<APIGatewayProxyStructuredResultV2> {
  const gateway = await open();
  if (event.rawPath === "/graphql/stream") return resultOf(gateway.dress(noStreams()));
  const request = requestOf(event, AbortSignal.timeout(waitMsMax));
  if (!request) return resultOf(gateway.dress(noPath()));
  return resultOf(await gateway.handle(request, { address: event.requestContext.http.sourceIp }));
}

function open(): Promise<Gateway> {
  opening ??= openGateway();
  opening.catch(() => {
    opening = null; // the next request tries again
  });
  return opening;
}

async function openGateway(): Promise<Gateway> {
  const { config, ports, secret, log } = await connectCloud();
  const kick = openKick(log);
  // An instance answers one request at a time. Its Node.js finds its libraries by the environment.
  const decoders = openDecoders({ count: 1, inheritsEnvironment: true });
  const queue: Queue = {
    ...ports.queue,
    async send(message) {
      await ports.queue.send(message);
      await kick();
    },
  };
  return createGateway({
    ports: { ...ports, queue },
    secret,
    publicUrl: config.publicUrl,
    fetch: { allowPrivate: config.fetchPrivate },
    work: config,
    openWaitsPerKey: config.openWaitsPerKey,
    trustedProxies: config.trustedProxies,
    decode: decoders.decode,
    log,
    graphiql: false,
  });
}

function noPath(): Response {
  return refusal(
    404,
    "NOT_FOUND",
    "Nothing is here: paths are plain, without encoding, dots or //.",
  );
}

function noStreams(): Response {
  return refusal(
    501,
    "NOT_IMPLEMENTED",
    "This address answers whole responses only. Follow runs with waitMs, run(id) or a webhook.",
  );
}
