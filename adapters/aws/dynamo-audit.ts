import { type Audit, type AuditEntry, type AuditFilter, matchesFilter } from "../../core/audit.ts";
import { cursorOf, placeBehind } from "../cursor.ts";
import {
  type DynamoTable,
  getItems,
  type Item,
  instantKey,
  keyIn,
  keyOf,
  type Query,
  queryItems,
  text,
  transact,
  type Write,
} from "./dynamo-table.ts";

/** The partition that lists the days on which there are entries. */
const days = "AUDITDAYS";
/** The end of the year 9999, so that days have ten characters. */
const endOfTime = 253_402_300_799_999;

/**
 * The audit log in DynamoDB: a partition for each day of UTC, and the indexes for whoever asks for
 * a subject, a key, a tenant or an action. No policy of the service may change or delete these
 * items. A filtered listing comes from an index, which lags behind by a moment.
 */
export function dynamoAudit(table: DynamoTable): Audit {
  return {
    async append(entry) {
      if (!(await transact(table, auditWrites(table, entry))))
        throw new Error(`There is an audit entry ${entry.id} already.`);
    },
    async list({ first, after, ...filter }) {
      const place = after === null ? null : placeBehind(after);
      const entries: AuditEntry[] = [];
      const bounds = {
        after: instantKey(Math.max(0, filter.from ?? 0)),
        before: place ? instantKey(place.createdAt, place.id) : instantKey(endOfTime, "~"),
      };
      if (filter.to !== null && instantKey(filter.to) < bounds.before)
        bounds.before = instantKey(filter.to);
      for await (const entry of newestFirst(table, filter, bounds)) {
        if (matchesFilter(entry, filter)) entries.push(entry);
        if (entries.length > first) break; // the one beyond the page tells whether there is another
      }
      return {
        entries: entries.slice(0, first),
        hasNextPage: entries.length > first,
        cursorOf: ({ at, id }) => cursorOf({ createdAt: at, id }),
      };
    },
  };
}

/** The writes of entries, for the transaction of their change. */
export function auditWrites({ name: TableName }: DynamoTable, ...entries: AuditEntry[]): Write[] {
  // A transaction writes an item once at most.
  const added = new Set(entries.map(({ at }) => dayOf(at)));
  return [
    ...entries.map((entry) => ({
      Put: { TableName, Item: itemOf(entry), ConditionExpression: "attribute_not_exists(pk)" },
    })),
    ...[...added].map((day) => ({ Put: { TableName, Item: { pk: days, sk: day } } })),
  ];
}

function itemOf(entry: AuditEntry): Item {
  const { id, at, action, actor, subject } = entry;
  const sort = instantKey(at, id);
  return {
    pk: keyOf("AUDIT", dayOf(at)),
    sk: sort,
    newest: sort,
    due: sort,
    queue: keyOf("AUDIT", "SUBJECT", subject.id),
    dueQueue: keyOf("AUDIT", "ACTION", action),
    ...(subject.tenantId !== null && { owner: keyOf("AUDIT", "TENANT", subject.tenantId) }),
    ...(actor.keyId !== null && { ownerStatus: keyOf("AUDIT", "KEY", actor.keyId) }),
    data: JSON.stringify(entry),
  };
}

interface Bounds {
  readonly after: string;
  readonly before: string;
}

async function* newestFirst(
  table: DynamoTable,
  filter: AuditFilter,
  bounds: Bounds,
): AsyncGenerator<AuditEntry> {
  const indexed = indexOf(filter);
  if (indexed) {
    yield* partitionOf(table, indexed, bounds);
    return;
  }
  const known = await queryItems(table, { partition: days, descending: true });
  const [oldest, newest] = [bounds.after, bounds.before].map((sort) =>
    dayOf(Math.min(Number(sort.slice(0, 15)), endOfTime)),
  );
  for (const item of known) {
    const day = text(item, "sk");
    if ((newest !== undefined && day > newest) || (oldest !== undefined && day < oldest)) continue;
    yield* partitionOf(table, { partition: keyOf("AUDIT", day) }, bounds);
  }
}

async function* partitionOf(
  table: DynamoTable,
  query: Query,
  { after, before: end }: Bounds,
): AsyncGenerator<AuditEntry> {
  const max = 100;
  for (let before = end; after < before; ) {
    const found = (await queryItems(table, { ...query, before, after, descending: true, max }))
      // BETWEEN includes both ends, which were seen or are none of ours.
      .filter((item) => sortOf(item, query) < before && sortOf(item, query) > after);
    const whole = query.index === undefined ? found : await getItems(table, found.map(keyIn));
    for (const item of whole) yield JSON.parse(text(item, "data"));
    const last = found.at(-1);
    if (!last || found.length < max - 1) return;
    before = sortOf(last, query);
  }
}

/** The narrowest index that a filter can use; null if there is none. */
function indexOf({ subjectId, keyId, tenantId, action }: AuditFilter): Query | null {
  if (subjectId !== null)
    return { index: "byQueue", partition: keyOf("AUDIT", "SUBJECT", subjectId) };
  if (keyId !== null) return { index: "byStatus", partition: keyOf("AUDIT", "KEY", keyId) };
  if (tenantId !== null) return { index: "byOwner", partition: keyOf("AUDIT", "TENANT", tenantId) };
  if (action !== null) return { index: "byDue", partition: keyOf("AUDIT", "ACTION", action) };
  return null;
}

function sortOf(item: Item, { index }: Query): string {
  return text(item, index === undefined ? "sk" : index === "byDue" ? "due" : "newest");
}

/** Of UTC, as 2026-01-31. */
function dayOf(at: number): string {
  return new Date(Math.max(0, at)).toISOString().slice(0, 10);
}
