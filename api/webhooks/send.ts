import { Agent, type Dispatcher, request } from "undici";
import { AppError } from "../../core/errors.ts";
import { limits } from "../../core/limits.ts";
import type { DeliveryAttempt, Header } from "../../core/webhook.ts";
import type { AttemptOutcome } from "../../core/webhook-schedule.ts";
import { checkedUrl } from "../checked-url.ts";
import { type EgressSettings, guardedConnector } from "../guarded-connector.ts";

export interface WebhookRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Sends webhooks through the egress guard. */
export interface Sender {
  /**
   * One attempt: an answer of 2xx within 15 seconds is a success, everything else a failure with
   * its reason. Never throws. `now` in ms.
   */
  send(webhook: WebhookRequest, now: () => number): Promise<AttemptOutcome>;
  close(): Promise<void>;
}

/**
 * Proxies of the environment are not used: behind one, the addresses that are checked would be the
 * proxy's.
 */
export function openSender(egress: EgressSettings): Sender {
  const agent = new Agent({
    connect: guardedConnector(egress),
    keepAliveTimeout: 1_000,
    pipelining: 1,
  });
  return {
    async send({ url, headers, body }, now) {
      const at = now();
      const started = performance.now();
      const answer = await post(url, { headers, body, agent, egress });
      const durationMs = Math.round(performance.now() - started);
      const attempt: DeliveryAttempt = {
        ...{
          at,
          durationMs,
          httpStatus: answer.status,
          error: answer.error,
          excerpt: answer.excerpt,
        },
        requestHeaders: headerList(headers),
        responseHeaders: headerList(answer.headers),
      };
      const retryAfterMs = retryAfterOf(answer.headers["retry-after"], now());
      return { attempt, retryAfterMs, isFinal: answer.status === goneStatus };
    },
    close: () => agent.destroy(),
  };
}

interface Answer {
  readonly status: number | null;
  readonly error: string | null;
  readonly excerpt: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

interface Post extends Pick<WebhookRequest, "headers" | "body"> {
  readonly agent: Dispatcher;
  readonly egress: EgressSettings;
}

async function post(url: string, { headers, body, agent, egress }: Post): Promise<Answer> {
  const signal = AbortSignal.timeout(limits.webhook.timeoutMs);
  try {
    const response = await request(checkedUrl(url, egress), {
      method: "POST",
      headers,
      body,
      dispatcher: agent,
      signal,
    });
    const { statusCode: status } = response;
    const excerpt = await readExcerpt(response.body);
    return {
      status,
      error: status >= 200 && status < 300 ? null : refusal(status),
      excerpt,
      headers: response.headers,
    };
  } catch (error) {
    return { status: null, error: reasonOf(error), excerpt: "", headers: {} };
  }
}

function refusal(status: number): string {
  return status >= 300 && status < 400
    ? `It answered ${status}: redirects are not followed.`
    : `It answered ${status}.`;
}

/**
 * The beginning of a body, and no more of it: what a receiver says beyond is not read. A body that
 * breaks off was a fine answer all the same.
 */
async function readExcerpt(body: Dispatcher.ResponseData["body"]): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  body.on("error", () => {}); // destroyed below, or broken off
  try {
    for await (const chunk of body) {
      chunks.push(chunk);
      size += chunk.length;
      if (size >= limits.webhook.excerptBytes) break;
    }
  } catch {
  } finally {
    body.destroy();
  }
  const text = new TextDecoder().decode(
    Buffer.concat(chunks).subarray(0, limits.webhook.excerptBytes),
  );
  return text.replaceAll(/\p{Cc}/gu, (control) => (control === "\n" ? control : " "));
}

/** Refusals of the lookup come wrapped: node takes only system errors there. */
function reasonOf(error: unknown): string {
  const known = error instanceof Error && error.cause instanceof AppError ? error.cause : error;
  if (known instanceof AppError) return known.message;
  if (error instanceof DOMException && error.name === "TimeoutError")
    return `It took longer than ${limits.webhook.timeoutMs / 1_000} s.`;
  const code = error instanceof Error && "code" in error ? ` (${String(error.code)})` : "";
  return `It could not be reached${code}.`;
}

/** Seconds, or a date. */
function retryAfterOf(value: string | string[] | undefined, now: number): number | null {
  if (typeof value !== "string") return null;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1_000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : Math.max(0, at - now);
}

/** 410: the receiver wants no more of this. */
const goneStatus = 410;

const secretHeaders = [
  "webhook-signature",
  "authorization",
  "proxy-authorization",
  "cookie",
  "set-cookie",
];
const headersMax = 40;
const headerLengthMax = 500;

function headerList(headers: Readonly<Record<string, string | string[] | undefined>>): Header[] {
  return Object.entries(headers)
    .slice(0, headersMax)
    .map(([name, value]) => {
      const text = Array.isArray(value) ? value.join(", ") : (value ?? "");
      return {
        name,
        value: secretHeaders.includes(name.toLowerCase())
          ? "[redacted]"
          : text.slice(0, headerLengthMax),
      };
    });
}
