import { randomBase62 } from "./tenant.ts";

/**
 * What was done, as `subject.verb`. A new mutation that creates, changes, revokes or deletes adds
 * its own.
 */
export const auditActions = [
  "apiKey.create",
  "apiKey.expire",
  "apiKey.revoke",
  "tenant.create",
  "tenant.disable",
  "tenant.enable",
  "tenant.limit",
  "tenant.export",
  "tenant.delete",
  "webhookEndpoint.create",
  "webhookEndpoint.update",
  "webhookEndpoint.disable",
  "webhookEndpoint.enable",
  "webhookEndpoint.rotateSecret",
  "webhookEndpoint.delete",
  "webhookEndpoint.recover",
  "webhookDelivery.redeliver",
  "modelAlias.set",
  "modelAlias.remove",
  "model.publish",
  "backup.create",
  "backup.restore",
  "run.delete",
  "image.delete",
  "signInLink.create",
  "session.create",
  "session.end",
] as const;
export type AuditAction = (typeof auditActions)[number];

/**
 * Who did it: an API key, whoever can open the store at the command line, or the service itself.
 */
export interface AuditActor {
  readonly kind: "KEY" | "COMMAND_LINE" | "SERVICE";
  readonly keyId: string | null;
  /** The key's tenant. */
  readonly tenantId: string | null;
  /** The IP address of the request; null at the command line. */
  readonly address: string | null;
}

/** An actor, and the request in which it acts. */
export interface Author extends AuditActor {
  readonly requestId: string | null;
}

/** One change, as it is kept for good. */
export interface AuditEntry {
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly action: AuditAction;
  readonly actor: AuditActor;
  readonly subject: AuditSubject;
  /** What changed, as small JSON; never a secret. */
  readonly details: AuditDetails;
  readonly requestId: string | null;
}

export interface AuditSubject {
  /** As in the SDL: ApiKey, Tenant … */
  readonly type: string;
  readonly id: string;
  /** Whose it is; null if it is the service's. */
  readonly tenantId: string | null;
}

export type AuditDetails = Readonly<
  Record<string, string | number | boolean | null | readonly string[]>
>;

/**
 * The audit log: entries are added, never changed or deleted. A store that takes an entry with a
 * change writes both in one transaction; any other change appends its entry first, so that there is
 * no change without an entry.
 */
export interface Audit {
  append(entry: AuditEntry): Promise<void>;
  /** Newest first. */
  list(page: AuditPageQuery): Promise<AuditPage>;
}

export interface AuditPageQuery extends AuditFilter {
  readonly first: number;
  readonly after: string | null;
}

/** Null: any. */
export interface AuditFilter {
  /** The tenant of the subject. */
  readonly tenantId: string | null;
  /** The key that acted. */
  readonly keyId: string | null;
  readonly action: AuditAction | null;
  readonly subjectId: string | null;
  /** From this instant, */
  readonly from: number | null;
  /** until before this one. */
  readonly to: number | null;
}

export interface AuditPage {
  readonly entries: readonly AuditEntry[];
  readonly hasNextPage: boolean;
  /** The cursor of an entry in every listing. */
  cursorOf(entry: AuditEntry): string;
}

export const anyEntry: AuditFilter = {
  tenantId: null,
  keyId: null,
  action: null,
  subjectId: null,
  from: null,
  to: null,
};

/** Who works at the command line. */
export const commandLine: Author = {
  kind: "COMMAND_LINE",
  keyId: null,
  tenantId: null,
  address: null,
  requestId: null,
};

/** What the service does by itself. */
export const serviceItself: Author = { ...commandLine, kind: "SERVICE" };

/** The entry of a change that is about to be made. */
export function auditEntry(
  { clock, by }: { readonly clock: { now(): number }; readonly by: Author },
  action: AuditAction,
  what: { readonly subject: AuditSubject; readonly details?: AuditDetails },
): AuditEntry {
  const { requestId, kind, keyId, tenantId, address } = by;
  return {
    id: `aud_${randomBase62(16)}`,
    at: clock.now(),
    action,
    actor: { kind, keyId, tenantId, address },
    subject: what.subject,
    details: what.details ?? {},
    requestId,
  };
}

/** Whether a filter lets an entry through. */
export function matchesFilter(entry: AuditEntry, filter: AuditFilter): boolean {
  return (
    (filter.tenantId === null || entry.subject.tenantId === filter.tenantId) &&
    (filter.keyId === null || entry.actor.keyId === filter.keyId) &&
    (filter.action === null || entry.action === filter.action) &&
    (filter.subjectId === null || entry.subject.id === filter.subjectId) &&
    (filter.from === null || entry.at >= filter.from) &&
    (filter.to === null || entry.at < filter.to)
  );
}
