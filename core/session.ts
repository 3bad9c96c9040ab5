import { createHmac } from "node:crypto";
import { type AuditEntry, type Author, auditEntry, commandLine } from "./audit.ts";
import { AppError } from "./errors.ts";
import { limits } from "./limits.ts";
import type { Ports } from "./ports.ts";
import type { Session } from "./session-record.ts";
import { type ApiKey, isAlive, keyAdmits, parseKey, randomBase62, type Scope } from "./tenant.ts";

/**
 * What a page may do at most. A session never hands out keys and never acts for other tenants,
 * whatever its key may do: a fault in a page then stays within one tenant and ends with the
 * session.
 */
export const sessionScopes = [
  "RUNS_READ",
  "RUNS_WRITE",
  "IMAGES_WRITE",
  "WEBHOOKS_ADMIN",
  "USAGE_READ",
] as const satisfies readonly Scope[];

/** What the rules of sessions need. */
export interface SessionPorts extends Pick<Ports, "tenants" | "clock"> {
  readonly sessions: NonNullable<Ports["sessions"]>;
  /** Under which tokens are hashed. */
  readonly pepper: string;
}

/** Where a request that begins or ends a session comes from. */
export type Visitor = Pick<Author, "address" | "requestId">;

/** A session, and the text that its cookie carries. */
export interface NewSession {
  readonly text: string;
  readonly session: Session;
}

/** What a sign-in is refused with, whatever was wrong with the token or the key. */
const refused = "This sign-in link was used already or has expired, or the key admits nobody.";

/** Makes a one-time token for a key, at the command line; returns its text, shown this once. */
export async function createSignInToken(
  { sessions, clock, pepper }: Pick<SessionPorts, "sessions" | "clock" | "pepper">,
  { tenantId, id }: Pick<ApiKey, "tenantId" | "id">,
): Promise<{ text: string; expiresAt: number }> {
  const text = `${prefixes.token}${randomBase62(digits)}`;
  const expiresAt = clock.now() + limits.session.tokenMs;
  const hash = hashOf(text, pepper);
  const entry = auditEntry({ clock, by: commandLine }, "signInLink.create", {
    subject: { type: "ApiKey", id, tenantId },
    details: { expiresAt },
  });
  await sessions.createToken({ hash, tenantId, keyId: id, expiresAt }, entry.at, entry);
  return { text, expiresAt };
}

/** Opens a session with a one-time token, which is then gone. Throws AppError UNAUTHENTICATED. */
export async function openByToken(
  ports: SessionPorts,
  text: string,
  from: Visitor,
): Promise<NewSession> {
  const taken = tokenPattern.test(text)
    ? await ports.sessions.takeToken(hashOf(text, ports.pepper))
    : null;
  if (!taken || ports.clock.now() >= taken.expiresAt) throw unauthenticated();
  return open(ports, await ports.tenants.findKey(taken.keyId), { from, by: "link" });
}

/** Opens a session with the text of an API key. Throws AppError UNAUTHENTICATED. */
export async function openByKey(
  ports: SessionPorts,
  text: string,
  from: Visitor,
): Promise<NewSession> {
  const { tenants, clock, pepper } = ports;
  const parsed = parseKey(text);
  const key = parsed && (await tenants.findKey(parsed.id));
  if (!key || !keyAdmits(key, parsed.secret, { pepper, now: clock.now() })) throw unauthenticated();
  return open(ports, key, { from, by: "key" });
}

/**
 * The living session whose cookie carries `text`, with what it may still do; null if there is none.
 */
export async function findSession(ports: SessionPorts, text: string): Promise<Session | null> {
  const { sessions, tenants, clock, pepper } = ports;
  if (!sessionPattern.test(text)) return null;
  const session = await sessions.find(hashOf(text, pepper));
  if (!session || clock.now() >= session.expiresAt) return null;
  const key = await tenants.findKey(session.keyId);
  if (!key || !(await admits(ports, key))) return null;
  return { ...session, scopes: session.scopes.filter((scope) => key.scopes.includes(scope)) };
}

/** Ends a session, for good. */
export async function endSession(
  { sessions, clock, pepper }: Pick<SessionPorts, "sessions" | "clock" | "pepper">,
  text: string,
  from: Visitor,
): Promise<void> {
  const session = sessionPattern.test(text) ? await sessions.find(hashOf(text, pepper)) : null;
  if (session) await sessions.end(session.hash, entryOf({ clock }, session, { from }));
}

/** 43 base62 digits hold 256 bits: nobody guesses one, and a fast hash is enough to store it. */
const digits = 43;
const prefixes = { token: "vdr_link_", session: "vdr_session_" } as const;
const tokenPattern = /^vdr_link_[0-9A-Za-z]{43}$/;
const sessionPattern = /^vdr_session_[0-9A-Za-z]{43}$/;

async function open(
  ports: SessionPorts,
  key: ApiKey | null,
  how: { readonly from: Visitor; readonly by: "link" | "key" },
): Promise<NewSession> {
  if (!key || !(await admits(ports, key))) throw unauthenticated();
  const now = ports.clock.now();
  const text = `${prefixes.session}${randomBase62(digits)}`;
  const session = {
    hash: hashOf(text, ports.pepper),
    tenantId: key.tenantId,
    keyId: key.id,
    scopes: sessionScopes.filter((scope) => key.scopes.includes(scope)),
    createdAt: now,
    expiresAt: Math.min(now + limits.session.lifetimeMs, key.expiresAt ?? Number.POSITIVE_INFINITY),
  };
  await ports.sessions.create(session, entryOf(ports, session, how));
  return { text, session };
}

/** The entry of a session that begins or ends. The session is named by the start of its hash. */
function entryOf(
  { clock }: Pick<Ports, "clock">,
  { hash, tenantId, keyId, scopes, expiresAt }: Session,
  { from, by }: { readonly from: Visitor; readonly by?: "link" | "key" },
): AuditEntry {
  const author = { clock, by: { kind: "KEY", keyId, tenantId, ...from } as const };
  const subject = { type: "Session", id: `ses_${hash.slice(0, 16)}`, tenantId };
  return by === undefined
    ? auditEntry(author, "session.end", { subject })
    : auditEntry(author, "session.create", { subject, details: { by, scopes, expiresAt } });
}

async function admits({ tenants, clock }: SessionPorts, key: ApiKey): Promise<boolean> {
  const tenant = await tenants.get(key.tenantId);
  return tenant?.disabledAt === null && isAlive(key, clock.now());
}

function hashOf(text: string, pepper: string): string {
  return createHmac("sha256", pepper).update(text).digest("hex");
}

function unauthenticated(): AppError {
  return new AppError("UNAUTHENTICATED", refused, {
    fix: "Run `vedere link` for a new sign-in link, or send a key that is alive.",
  });
}
