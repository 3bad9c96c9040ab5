import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type Duplex, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { refusal } from "./refusal.ts";
import { parseTarget } from "./request-target.ts";
import type { Gateway } from "./server.ts";

export interface Listening {
  readonly host: string;
  readonly port: number;
  /**
   * Stops listening, ends long polls and event streams at once, and gives other requests `graceMs`
   * to finish.
   */
  close(graceMs?: number): Promise<void>;
}

/** How long a connection may take, in milliseconds, and how many there may be. */
export interface Patience {
  /** Until all headers of a request are there. */
  readonly headersMs: number;
  /** Until all of a request is there. */
  readonly requestMs: number;
  /** How late these two may be noticed. */
  readonly checkMs: number;
  /** Between two requests. */
  readonly keepAliveMs: number;
  /** Neither side sends anything. */
  readonly silenceMs: number;
  /** Nothing more comes of a body. */
  readonly bodySilenceMs: number;
  /** The rest of a body is read that nobody wants, so that its sender sees the answer. */
  readonly lingerMs: number;
  /** More connections are closed at once; each costs memory and a file descriptor. */
  readonly connectionsMax: number;
}

const usual: Patience = {
  headersMs: 10_000,
  requestMs: 300_000, // 20 MB over half a megabit a second
  checkMs: 1_000,
  keepAliveMs: 65_000, // longer than load balancers wait, so that they close first
  silenceMs: 120_000, // longer than a long poll; event streams have pings
  bodySilenceMs: 15_000,
  lingerMs: 5_000,
  connectionsMax: 10_000,
};

/**
 * Serves a gateway on node:http. Port 0 takes a free one. Rejects where the address cannot be had.
 */
export async function listen(
  gateway: Gateway,
  { host, port, patience }: { host: string; port: number; patience?: Partial<Patience> },
): Promise<Listening> {
  const { silenceMs, bodySilenceMs, lingerMs, connectionsMax, ...limits } = {
    ...usual,
    ...patience,
  };
  const timeouts = {
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: limits.checkMs,
  };
  const waiting = new Map<Request, AbortController>(); // holds the requests too: a collected one no longer passes its signal on
  const answering = new WeakSet<Duplex>();
  const server = createServer(timeouts, (incoming, outgoing) => {
    const ended = new AbortController();
    const { socket } = incoming;
    answering.add(socket);
    outgoing.on("close", () => answering.delete(socket));
    const request = toRequest(incoming, ended.signal);
    // A body that stalls ends the connection. One that is whole leaves the time to the answer.
    socket.setTimeout(bodySilenceMs);
    incoming.on("end", () => socket.setTimeout(silenceMs));
    outgoing.on("finish", () => drain(incoming, lingerMs));
    if (request instanceof Response)
      return void send(gateway.dress(request), outgoing).catch(() => outgoing.destroy());
    waiting.set(request, ended);
    outgoing.on("close", () => {
      waiting.delete(request);
      ended.abort();
    });
    void gateway
      .handle(request, { address: incoming.socket.remoteAddress ?? "" })
      .then((response) => {
        if (!server.listening) outgoing.setHeader("connection", "close");
        return send(response, outgoing);
      })
      .catch(() => outgoing.destroy()); // a rejection that nobody catches would end the process
  });
  server.timeout = silenceMs;
  server.maxConnections = connectionsMax;
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    // Half an answer may be on its way: nothing can be said behind it.
    if (!socket.writable || error.code === "ECONNRESET" || answering.has(socket)) socket.destroy();
    else socket.end(brokenRequest(error.code, gateway));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(port, host, resolve);
  });
  server.on("error", () => {}); // a connection that could not be accepted, such as for want of descriptors
  const address = server.address();
  return {
    host,
    port: typeof address === "object" && address ? address.port : port,
    async close(graceMs = 5_000) {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const ended of waiting.values()) ended.abort();
      const grace = setTimeout(() => server.closeAllConnections(), graceMs);
      await closed;
      clearTimeout(grace);
      await gateway.close();
    },
  };
}

/**
 * What is left of a body that was refused: the next request of the connection stands behind it. A
 * sender that goes on for longer is cut off, and holds no connection for nothing.
 */
function drain(incoming: IncomingMessage, lingerMs: number): void {
  if (incoming.complete) return;
  const { socket } = incoming;
  const cut = setTimeout(() => socket.destroy(), lingerMs);
  incoming.on("close", () => clearTimeout(cut));
  incoming.on("end", () => clearTimeout(cut));
  incoming.resume();
}

/** The answer to bytes that are no request, as it goes over the wire. */
function brokenRequest(code: string | undefined, gateway: Gateway): string {
  const [status, name, message] =
    code === "ERR_HTTP_REQUEST_TIMEOUT"
      ? [408, "Request Timeout", "The request did not come in time."]
      : code === "HPE_HEADER_OVERFLOW"
        ? [431, "Request Header Fields Too Large", "The headers have more than 16 kB."]
        : [400, "Bad Request", "This is no HTTP request."];
  const response = gateway.dress(new Response(null));
  const body = JSON.stringify({ errors: [{ message, extensions: { code: "BAD_REQUEST" } }] });
  const headers = [
    ...response.headers,
    ["content-type", "application/json"],
    ["content-length", String(Buffer.byteLength(body))],
    ["connection", "close"],
  ].map(([header, value]) => `${header}: ${value}`);
  return [`HTTP/1.1 ${status} ${name}`, ...headers, "", body].join("\r\n");
}

/**
 * The standard form of a request; or the response to one that has none (TRACE, a path that is no
 * plain path).
 */
function toRequest(incoming: IncomingMessage, signal: AbortSignal): Request | Response {
  const { method = "GET", url = "/", headersDistinct } = incoming;
  const headers = Object.entries(headersDistinct).flatMap(([name, values = []]) =>
    values.map((value): [string, string] => [name, value]),
  );
  const target = parseTarget(url);
  if (!target) return notPlain(url);
  const hasBody = method !== "GET" && method !== "HEAD";
  try {
    // Reading may stop early (a body over its limit); the socket must outlive that, for the
    // response.
    const body = hasBody
      ? {
          body: ReadableStream.from(incoming.iterator({ destroyOnReturn: false })),
          duplex: "half" as const,
        }
      : {};
    return new Request(target, { method, headers, signal, ...body });
  } catch {
    return refusal(400, "BAD_REQUEST", "This request has no meaning here.");
  }
}

/**
 * Another form than a path is no request to this service; a path that is not plain leads nowhere.
 */
function notPlain(target: string): Response {
  return target.startsWith("/")
    ? refusal(404, "NOT_FOUND", "Nothing is here: paths are plain, without encoding, dots or //.")
    : refusal(400, "BAD_REQUEST", "This request has no meaning here: its target is not a path.");
}

/** A broken stream breaks the connection: the other end must not take what it has for the whole. */
async function send(response: Response, outgoing: ServerResponse): Promise<void> {
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  if (!response.body) return void outgoing.end();
  await pipeline(Readable.fromWeb(response.body), outgoing).catch(() => outgoing.destroy());
}
