import { AppError } from "../core/errors.ts";
import { limits } from "../core/limits.ts";
import {
  endSession,
  findSession,
  openByKey,
  openByToken,
  type SessionPorts,
  type Visitor,
} from "../core/session.ts";
import type { Session } from "../core/session-record.ts";
import type { Caller } from "./context.ts";
import { isOtherOrigin, isSameOrigin, pageDoor } from "./origin.ts";
import { refusal } from "./refusal.ts";
import { isJson, parseJson, readText } from "./request-body.ts";

export const sessionPath = "/session";

/** How the page signs in and out, and whose request carries its cookie. */
export interface PageSessions {
  /** Whether the page and its sessions are there for this request. */
  isOpenTo(request: Request, peerAddress: string): boolean;
  /** Answers POST (sign in), GET (what the session may do) and DELETE (sign out) of /session. */
  answer(request: Request, from: Visitor): Promise<Response>;
  /** Who sent a request with a session's cookie; null if it carries none that counts. */
  callerOf(request: Request, peerAddress: string): Promise<Caller | null>;
}

/**
 * Sessions of a gateway that serves a page at `publicUrl`. A cookie counts only if the browser says
 * that a page of this origin sent it, and only without an Authorization header, which goes before
 * it.
 */
export function pageSessions(ports: SessionPorts, publicUrl: string): PageSessions {
  const isOpenTo = pageDoor(publicUrl);
  const cookie = cookieOf(publicUrl);
  const find = async (request: Request) => {
    const text = isSameOrigin(request, publicUrl) ? cookie.read(request) : null;
    return text === null ? null : findSession(ports, text);
  };
  return {
    isOpenTo,
    async answer(request, from) {
      if (isOtherOrigin(request, publicUrl))
        return refusal(403, "FORBIDDEN", "Only the page of this service signs in here.");
      if (request.method === "POST") return signIn(request, from);
      const text = cookie.read(request);
      if (request.method === "GET") {
        const session = await find(request);
        return session ? Response.json(shown(session)) : notSignedIn();
      }
      if (request.method === "DELETE") {
        if (text !== null && isSameOrigin(request, publicUrl)) await endSession(ports, text, from);
        return new Response(null, { status: 204, headers: { "set-cookie": cookie.write("", 0) } });
      }
      const allow = "GET, POST, DELETE";
      return refusal(405, "METHOD_NOT_ALLOWED", `Send one of ${allow}.`, { allow });
    },
    async callerOf(request, peerAddress) {
      if (request.headers.has("authorization") || !isOpenTo(request, peerAddress)) return null;
      const session = await find(request);
      if (!session) return null;
      const { hash, tenantId, keyId, scopes, expiresAt } = session;
      const tenant = await ports.tenants.get(tenantId);
      return tenant && { tenantId, keyId, session: hash, scopes, expiresAt, limits: tenant.limits };
    },
  };

  async function signIn(request: Request, from: Visitor): Promise<Response> {
    if (!isJson(request))
      return refusal(415, "UNSUPPORTED_MEDIA_TYPE", "Send JSON: content-type application/json.");
    const text = await readText(request, limits.session.bodyBytesMax);
    if (text instanceof Response) return text;
    const given = parseJson(text);
    const token = textIn(given, "token");
    const key = textIn(given, "key");
    if ((token === null) === (key === null))
      return refusal(400, "BAD_REQUEST", 'Send either {"token": "vdr_link_…"} or {"key": "…"}.');
    try {
      const { text: secret, session } = await (token === null
        ? openByKey(ports, key ?? "", from)
        : openByToken(ports, token, from));
      const seconds = Math.floor((session.expiresAt - session.createdAt) / 1_000);
      return Response.json(shown(session), {
        status: 201,
        headers: { "set-cookie": cookie.write(secret, seconds) },
      });
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      return refusal(401, error.code, `${error.message} ${error.fix ?? ""}`.trim());
    }
  }
}

function notSignedIn(): Response {
  return refusal(401, "UNAUTHENTICATED", "Nobody is signed in. Run `vedere link` for a link.");
}

/** What a page may know of its session. */
function shown({ scopes, expiresAt, keyId, tenantId }: Session) {
  return { tenantId, keyId, scopes, expiresAt: new Date(expiresAt).toISOString() };
}

/**
 * Cookies know no ports: the name carries it, so that two services on one machine do not sign each
 * other out. `__Host-` needs Secure (RFC 6265bis, section 4.1.3.2), which http does not have.
 */
function cookieOf(publicUrl: string) {
  const { protocol, port } = new URL(publicUrl);
  const isHttps = protocol === "https:";
  const name = `${isHttps ? "__Host-" : ""}vedere-session${port && `-${port}`}`;
  const attributes = `Path=/; HttpOnly; SameSite=Strict${isHttps ? "; Secure" : ""}`;
  return {
    write: (text: string, seconds: number) => `${name}=${text}; Max-Age=${seconds}; ${attributes}`,
    /** Null also if there are two of the name: another service of this machine has set one. */
    read({ headers }: Request): string | null {
      const values = (headers.get("cookie") ?? "")
        .split(";")
        .map((pair) => pair.trim())
        .filter((pair) => pair.startsWith(`${name}=`))
        .map((pair) => pair.slice(name.length + 1));
      return values.length === 1 ? (values[0] ?? null) : null;
    },
  };
}

function textIn(given: unknown, field: "token" | "key"): string | null {
  if (typeof given !== "object" || given === null || !Object.hasOwn(given, field)) return null;
  const value = (given as Readonly<Record<string, unknown>>)[field];
  return typeof value === "string" ? value.trim() : null;
}
