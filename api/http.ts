import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { refusal } from "./refusal.ts";
import type { Gateway } from "./server.ts";

export interface Listening {
  readonly host: string;
  readonly port: number;
  /** Stops listening, ends long polls and event streams at once, and gives other requests `graceMs` to finish. */
  close(graceMs?: number): Promise<void>;
}

const timeouts = {
  headersTimeout: 10_000,
  requestTimeout: 300_000, // the whole request: 20 MB over half a megabit a second
  keepAliveTimeout: 65_000, // longer than load balancers wait, so that they close first
};

/** Serves a gateway on node:http. Port 0 takes a free one. Rejects where the address cannot be had. */
export async function listen(
  gateway: Gateway,
  { host, port }: { host: string; port: number },
): Promise<Listening> {
  const waiting = new Map<Request, AbortController>(); // holds the requests too: a collected one no longer passes its signal on
  const server = createServer(timeouts, (incoming, outgoing) => {
    const ended = new AbortController();
    const request = toRequest(incoming, ended.signal);
    if (request instanceof Response)
      return void send(request, outgoing).catch(() => outgoing.destroy());
    waiting.set(request, ended);
    outgoing.on("close", () => {
      waiting.delete(request);
      ended.abort();
    });
    outgoing.on("finish", () => incoming.resume()); // what is left of a refused body: the next request stands behind it
    void gateway
      .handle(request, { address: incoming.socket.remoteAddress ?? "" })
      .then((response) => {
        if (!server.listening) outgoing.setHeader("connection", "close");
        return send(response, outgoing);
      })
      .catch(() => outgoing.destroy()); // a rejection that nobody catches would end the process
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

/** The standard form of a request; or the response to one that has none (TRACE, a path that is no URL). */
function toRequest(incoming: IncomingMessage, signal: AbortSignal): Request | Response {
  const { method = "GET", url = "/", headersDistinct } = incoming;
  const headers = Object.entries(headersDistinct).flatMap(([name, values = []]) =>
    values.map((value): [string, string] => [name, value]),
  );
  const hasBody = method !== "GET" && method !== "HEAD";
  try {
    // Reading may stop early (a body over its limit); the socket must outlive that, for the response.
    const body = hasBody
      ? {
          body: ReadableStream.from(incoming.iterator({ destroyOnReturn: false })),
          duplex: "half" as const,
        }
      : {};
    return new Request(new URL(url, "http://gateway"), { method, headers, signal, ...body });
  } catch {
    return refusal(400, "BAD_REQUEST", "This request has no meaning here.");
  }
}

/** A broken stream breaks the connection: the other end must not take what it has for the whole. */
async function send(response: Response, outgoing: ServerResponse): Promise<void> {
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  if (!response.body) return void outgoing.end();
  await pipeline(Readable.fromWeb(response.body), outgoing).catch(() => outgoing.destroy());
}
