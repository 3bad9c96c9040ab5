import { lookup } from "node:dns";
import type { WorkLimits } from "../core/budget.ts";
import { AppError } from "../core/errors.ts";
import { limits } from "../core/limits.ts";
import { reportLifetimeMs } from "../core/model-status.ts";
import type { Ports } from "../core/ports.ts";
import { randomBase62 } from "../core/tenant.ts";
import { effectiveLimits } from "../core/tenant-limits.ts";
import { noTracing, type Span, type Tracing } from "../core/tracing.ts";
import type { Decode } from "../images/decode-whole.ts";
import { admissionOf } from "./admission.ts";
import { answerHeaders, withHeaders } from "./answer-headers.ts";
import { clientAddress } from "./client-address.ts";
import { authenticate, type Caller, type Log, once, type RequestContext } from "./context.ts";
import { answerAsEvents } from "./event-stream.ts";
import type { FetchSettings } from "./fetch-image.ts";
import { graphiqlPage } from "./graphiql/serve.ts";
import { startGraphqlServer } from "./graphql.ts";
import { type ProcessHealth, readinessOf } from "./health.ts";
import { openWaits } from "./open-waits.ts";
import { isFromBrowser, isOfThisMachine } from "./origin.ts";
import { storeUnavailable } from "./public-error.ts";
import { refusal } from "./refusal.ts";
import {
  isJson,
  readGraphqlRequest,
  refuseEvents,
  refuseMediaType,
  refuseMethod,
  wantsEventsOnly,
} from "./request-body.ts";
import { buildGatewaySchema } from "./schema.ts";
import { pageSessions, sessionPath } from "./session.ts";
import { takeUpload, uploadPath } from "./uploads.ts";

export interface GatewayOptions {
  readonly ports: Ports;
  /** The pepper under which the secrets of API keys are hashed. */
  readonly secret: string;
  /** Where callers reach the gateway, without a slash at the end. */
  readonly publicUrl: string;
  /** Defaults: public https addresses only, and the bounds of core/limits. */
  readonly fetch: Partial<FetchSettings>;
  /** Defaults: no rate, no quota, and the unfinished runs of core/limits. */
  readonly work?: Partial<WorkLimits>;
  /**
   * How many subscriptions and long polls one key may have open in this process. Default: that of
   * core/limits.
   */
  readonly openWaitsPerKey?: number;
  /** Networks (CIDR) of proxies whose X-Forwarded-For is believed. Default: none. */
  readonly trustedProxies?: readonly string[];
  /** Decodes the images that come, outside this process where it can. */
  readonly decode: Decode;
  readonly log: Log;
  /** Follows requests into their runs. Absent: nobody does. */
  readonly tracing?: Tracing;
  /** Hears of every request that was answered. */
  readonly onRequest?: (request: {
    readonly path: string;
    readonly status: number;
    readonly ms: number;
  }) => void;
  /** What is known of the service's other processes; null or absent: nothing. */
  readonly processes?: () => ProcessHealth | null;
  /**
   * Serve GraphiQL at / to browsers on this machine, if the public URL names this machine too. The
   * page carries no key: it signs in, for a session. False if the gateway listens to other
   * machines.
   */
  readonly graphiql: boolean;
}

/**
 * The gateway behind any HTTP server: standard requests in, standard responses out. It never
 * throws.
 */
export interface Gateway {
  /** `request.signal` tells that the caller has gone, or that the server wants to close. */
  handle(request: Request, peer: Peer): Promise<Response>;
  /** Adds what every answer carries to one that was made before there was a request. */
  dress(response: Response): Response;
  close(): Promise<void>;
}

export interface Peer {
  /** The IP address of the other end. */
  readonly address: string;
}

const noWorkLimits: WorkLimits = {
  unitsPerSecond: null,
  burstUnits: limits.burstUnits,
  unitsPerMonth: null,
  unfinishedRuns: limits.unfinishedRunsMax,
};

/** What the log says of a request; whose it is becomes known on the way. */
interface Trail {
  readonly requestId: string;
  tenantId?: string;
  keyId?: string;
}

export async function createGateway(options: GatewayOptions): Promise<Gateway> {
  const { ports, log, publicUrl } = options;
  const schema = buildGatewaySchema();
  const graphql = await startGraphqlServer(schema, log);
  const { sessions, tenants, clock } = ports;
  const pages =
    options.graphiql && sessions
      ? pageSessions({ sessions, tenants, clock, pepper: options.secret }, publicUrl)
      : null;
  const headers = answerHeaders(publicUrl);
  const work = { ...noWorkLimits, ...options.work };
  const tracing = options.tracing ?? noTracing;
  const readiness = readinessOf(ports, log);
  const waits = openWaits(ports, {
    perKeyMax: options.openWaitsPerKey ?? limits.openWaitsPerKey,
    onFault: (err, keyId) =>
      log.error({ err, keyId }, "the key of an open wait could not be read; it is tried again"),
  });
  const fetch = {
    allowPrivate: false,
    ...limits.fetch,
    bytesMax: limits.image.bytesMax,
    lookup,
    ...options.fetch,
  };

  const addressOf = (request: Request, peer: Peer) =>
    clientAddress(request, peer.address, options.trustedProxies ?? []);

  async function route(request: Request, peer: Peer, trail: Trail): Promise<Response> {
    const path = new URL(request.url).pathname;
    if (path === "/graphql" || path === "/graphql/stream")
      return answerTraced(request, path, { peer, trail });
    if (path === "/healthz") return Response.json({ status: "ok" });
    if (path === "/readyz") return readiness(options.processes?.() ?? null);
    if (path.startsWith(uploadPath) && ports.uploads) return takeUpload(request, ports.uploads);
    const page = pages?.isOpenTo(request, peer.address)
      ? await (path === sessionPath
          ? pages.answer(request, { address: addressOf(request, peer), requestId: trail.requestId })
          : graphiqlPage(request))
      : null;
    return (
      page ?? refusal(404, "NOT_FOUND", `Nothing is here. The API is at ${publicUrl}/graphql.`)
    );
  }

  /** As a span of the caller's trace, where he has one. */
  function answerTraced(
    request: Request,
    path: "/graphql" | "/graphql/stream",
    { peer, trail }: { peer: Peer; trail: Trail },
  ): Promise<Response> {
    const parent = request.headers.get("traceparent");
    return tracing.span(`POST ${path}`, { kind: "server", parent }, async (span) => {
      const response = await answerGraphql(request, path, { peer, trail, span });
      const { requestId, tenantId } = trail;
      span.set({
        "vedere.request_id": requestId,
        "http.response.status_code": response.status,
        ...(tenantId && { "vedere.tenant_id": tenantId }),
      });
      return response;
    });
  }

  async function answerGraphql(
    request: Request,
    path: "/graphql" | "/graphql/stream",
    { peer, trail, span }: { peer: Peer; trail: Trail; span: Span },
  ): Promise<Response> {
    if (request.method !== "POST") return refuseMethod(path);
    if (!isJson(request)) return refuseMediaType(request);
    if (path === "/graphql" && wantsEventsOnly(request)) return refuseEvents();
    if (isFromBrowser(request) && !isOfThisMachine(request, peer.address)) {
      return refusal(
        403,
        "FORBIDDEN",
        "A browser sent this: an API key in a web page is everybody's. Ask from your own server, and keep the key there.",
      );
    }
    const caller = await identify(request, peer);
    if (caller instanceof Response) return caller;
    trail.tenantId = caller.tenantId;
    trail.keyId = caller.keyId;
    const { signal } = request;
    const admission = admissionOf(ports, caller, { waits, signal, since: ports.clock.now() });
    const operation = await readGraphqlRequest(request);
    if (operation instanceof Response) return operation;
    try {
      await admission.requireAdmitted(); // a body may come slowly
    } catch (error) {
      return unauthorized(error);
    }
    const context: RequestContext = {
      ports,
      pepper: options.secret,
      caller,
      address: addressOf(request, peer),
      requestId: trail.requestId,
      log,
      tracing,
      traceparent: span.traceparent,
      schema,
      fetch,
      decode: options.decode,
      work: effectiveLimits(work, caller.limits),
      cost: { requested: 0, actual: 0 },
      signal,
      admission,
      models: once((isFresh) => ports.models.list({ isFresh })),
      workerReports: once(() => ports.registry.reports(ports.clock.now() - reportLifetimeMs)),
    };
    if (path === "/graphql/stream") return answerAsEvents(schema, operation, context);
    const accept = request.headers.get("accept");
    const answer = await graphql.execute(operation, { context, accept });
    const refused = admission.refusedWith();
    return refused ? unauthorized(refused) : answer;
  }

  /** Throws again what is no AppError. */
  function unauthorized(error: unknown): Response {
    if (!(error instanceof AppError)) throw error;
    return refusal(401, error.code, error.message, { "www-authenticate": 'Bearer realm="vedere"' });
  }

  async function identify(request: Request, peer: Peer): Promise<Caller | Response> {
    const ofPage = await pages?.callerOf(request, peer.address);
    if (ofPage) return ofPage;
    try {
      return await authenticate(request.headers.get("authorization"), {
        tenants: ports.tenants,
        clock: ports.clock,
        pepper: options.secret,
      });
    } catch (error) {
      return unauthorized(error);
    }
  }

  return {
    async handle(request, peer) {
      const trail: Trail = { requestId: `req_${randomBase62(16)}` };
      const { requestId } = trail;
      const startedAt = ports.clock.now();
      const response = await route(request, peer, trail).catch((err: unknown) => {
        log.error({ requestId, err }, "a request failed");
        if (err instanceof AppError && err.code === "STORE_UNAVAILABLE")
          return refusal(503, err.code, storeUnavailable);
        return Response.json(
          { errors: [{ message: "Internal error", extensions: { code: "INTERNAL", requestId } }] },
          { status: 500 },
        );
      });
      withHeaders(response, { ...headers, "x-request-id": requestId });
      const { pathname: path } = new URL(request.url); // without the query: an upload's signature stays out of the log
      const answered = { path, status: response.status, ms: ports.clock.now() - startedAt };
      log.info({ ...trail, method: request.method, ...answered }, "request");
      options.onRequest?.(answered);
      return response;
    },
    dress: (response) => withHeaders(response, headers),
    close: () => graphql.close(),
  };
}
