import { Agent, type Dispatcher, request } from "undici";
import { AppError } from "../core/errors.ts";
import { checkedUrl } from "./checked-url.ts";
import { type EgressSettings, guardedConnector } from "./guarded-connector.ts";

/** `allowPrivate` also admits http and any port. */
export interface FetchSettings extends EgressSettings {
  readonly totalMs: number;
  /** Longest silence between two pieces of the body. */
  readonly idleMs: number;
  readonly redirectsMax: number;
  readonly bytesMax: number;
}

/**
 * Fetches the bytes of an image. Throws AppError SOURCE_BLOCKED (address not allowed, of the URL or
 * of a redirect), SOURCE_TOO_LARGE, or SOURCE_UNREACHABLE (anything else that went wrong out
 * there). Proxies of the environment are not used: behind one, the addresses checked here would be
 * the proxy's.
 */
export async function fetchImage(url: string, settings: FetchSettings): Promise<Uint8Array> {
  const agent = new Agent({
    connect: guardedConnector(settings),
    bodyTimeout: settings.idleMs,
    headersTimeout: settings.totalMs,
  });
  const signal = AbortSignal.timeout(settings.totalMs);
  try {
    let target = checkedUrl(url, settings);
    for (let redirects = 0; redirects <= settings.redirectsMax; redirects += 1) {
      const response = await request(target, {
        dispatcher: agent,
        signal,
        headers: requestHeaders,
      });
      response.body.on("error", () => {}); // whoever reads the body sees its errors; those of an unread one are nobody's
      const location = redirectTarget(response);
      if (location === null) return await readBody(response, settings.bytesMax);
      response.body.destroy();
      if (!URL.canParse(location, target.href))
        throw unreachable("The image's server redirects to something that is not a URL.");
      target = checkedUrl(new URL(location, target).href, settings);
    }
    throw unreachable(`The image's server redirects more than ${settings.redirectsMax} times.`);
  } catch (error) {
    throw asAppError(error, settings);
  } finally {
    await agent.destroy();
  }
}

const requestHeaders = {
  accept: "image/jpeg, image/png, image/webp, image/gif",
  "accept-encoding": "identity", // the byte limit counts what arrives: nothing may unfold behind it
  "user-agent": "vedere",
};

/** Where a redirect leads; null for any other answer. */
function redirectTarget({ statusCode, headers }: Dispatcher.ResponseData): string | null {
  if (![301, 302, 303, 307, 308].includes(statusCode)) return null;
  if (typeof headers.location !== "string")
    throw unreachable(`The image's server answered ${statusCode} without a location.`);
  return headers.location;
}

async function readBody(
  { statusCode, headers, body }: Dispatcher.ResponseData,
  bytesMax: number,
): Promise<Uint8Array> {
  if (statusCode !== 200) throw unreachable(`The image's server answered ${statusCode}.`);
  const tooLarge = new AppError("SOURCE_TOO_LARGE", `The image has more than ${bytesMax} bytes.`, {
    fix: "Send a smaller file.",
  });
  if (Number(headers["content-length"] ?? 0) > bytesMax) throw tooLarge;
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > bytesMax) throw tooLarge;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

/** Refusals of the lookup come wrapped: node takes only system errors there. */
function asAppError(error: unknown, settings: FetchSettings): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof Error && error.cause instanceof AppError) return error.cause;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const seconds = (ms: number) => `${ms / 1000} s`;
  if (error instanceof DOMException && error.name === "TimeoutError") {
    return unreachable(`The image's server took longer than ${seconds(settings.totalMs)}.`, error);
  }
  if (code === "UND_ERR_BODY_TIMEOUT")
    return unreachable(`The image's server sent nothing for ${seconds(settings.idleMs)}.`, error);
  return unreachable(`The image's server could not be reached${code && ` (${code})`}.`, error);
}

function unreachable(message: string, cause?: unknown): AppError {
  return new AppError("SOURCE_UNREACHABLE", message, {
    fix: "Check the URL, or upload the file instead.",
    cause,
  });
}
