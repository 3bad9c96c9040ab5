import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Audit, type AuditEntry, anyEntry, auditActions } from "../../core/audit.ts";
import type { Tenants } from "../../core/ports.ts";
import { mintKey } from "../../core/tenant.ts";
import type { Webhooks } from "../../core/webhook-store.ts";
import { grantOf } from "../core/new-key.ts";
import { newEndpoint } from "../core/new-webhook.ts";

/** What `open` gives: an empty store, and the log as another process sees it. */
export interface OpenAudit {
  readonly audit: Audit;
  readonly tenants: Tenants;
  readonly webhooks: Webhooks;
  readonly elsewhere: Audit;
  close(): Promise<void>;
}

const day = 86_400_000;
let made = 0;

function newEntry(parts: Partial<AuditEntry> = {}): AuditEntry {
  made += 1;
  return {
    id: `aud_${String(made).padStart(6, "0")}`,
    at: 5 * day,
    action: "apiKey.create",
    actor: { kind: "KEY", keyId: "key_1", tenantId: "ten_1", address: "192.0.2.7" },
    subject: { type: "ApiKey", id: `sub_${made}`, tenantId: "ten_1" },
    details: { name: "Größe", scopes: ["RUNS_READ"], expiresAt: null },
    requestId: "req_1",
    ...parts,
  };
}

/** What every audit log promises. */
export function auditContract(name: string, open: () => Promise<OpenAudit>): void {
  describe(`audit log: ${name}`, () => {
    let store: OpenAudit;
    beforeEach(async () => {
      store = await open();
    });
    afterEach(() => store.close());

    /** All entries that a filter lets through, by pages. */
    async function all(filter = {}, first = 2): Promise<AuditEntry[]> {
      const entries: AuditEntry[] = [];
      let after: string | null = null;
      for (;;) {
        const page = await store.elsewhere.list({ ...anyEntry, ...filter, first, after });
        entries.push(...page.entries);
        const last = page.entries.at(-1);
        if (!page.hasNextPage || !last) return entries;
        after = page.cursorOf(last);
      }
    }

    test("entries read back as they were, newest first, ties by id, over pages and days", async () => {
      const entries = [day, 3 * day - 1, 3 * day, 3 * day, 9 * day].map((at) => newEntry({ at }));
      for (const entry of entries) await store.audit.append(entry);
      expect(await all()).toEqual(entries.toReversed());
      expect(await all({}, 100)).toEqual(entries.toReversed());
      expect(await all({ from: 3 * day, to: 9 * day })).toEqual([entries[3], entries[2]]);
      expect(await all({ from: 3 * day - 1, to: 3 * day })).toEqual([entries[1]]);
    });

    test("an empty log is an empty page; a cursor of another list is INVALID", async () => {
      expect(await all()).toEqual([]);
      await expect(store.audit.list({ ...anyEntry, first: 1, after: "bad" })).rejects.toMatchObject(
        { code: "INVALID" },
      );
    });

    test("filters let through what matches all of them", async () => {
      const actor = newEntry().actor;
      const one = newEntry({ at: 1 });
      const two = newEntry({ at: 2, action: "apiKey.revoke", subject: one.subject });
      const three = newEntry({
        at: 3,
        actor: { ...actor, keyId: "key_2" },
        subject: { type: "Tenant", id: "ten_2", tenantId: "ten_2" },
        action: "tenant.create",
      });
      const four = newEntry({
        at: day,
        actor: { kind: "COMMAND_LINE", keyId: null, tenantId: null, address: null },
        subject: { type: "ModelAlias", id: "prod", tenantId: null },
        action: "modelAlias.set",
        requestId: null,
      });
      for (const entry of [one, two, three, four]) await store.audit.append(entry);
      const cases: [object, AuditEntry[]][] = [
        [{ tenantId: "ten_1" }, [two, one]],
        [{ keyId: "key_2" }, [three]],
        [{ action: "apiKey.revoke" }, [two]],
        [{ subjectId: one.subject.id }, [two, one]],
        [{ subjectId: "prod" }, [four]],
        [{ tenantId: "ten_1", action: "apiKey.create" }, [one]],
        [{ keyId: "key_1", from: 2 }, [two]],
        [{ tenantId: "ten_1", to: 2 }, [one]],
        [{ tenantId: "ten_2", keyId: "key_1" }, []],
        [{ tenantId: "ten_9" }, []],
      ];
      for (const [filter, expected] of cases)
        for (const first of [1, 50]) expect(await all(filter, first)).toEqual(expected);
    });

    test("an id is given once: the first entry stays", async () => {
      const entry = newEntry();
      await store.audit.append(entry);
      await expect(store.audit.append({ ...entry, action: "apiKey.revoke" })).rejects.toThrow();
      expect(await all()).toEqual([entry]);
    });

    test("a change and its entry are made together, or neither", async () => {
      const { tenants, webhooks } = store;
      const tenant = { id: "ten_1", name: "Ada", createdAt: 0, disabledAt: null };
      const { key } = mintKey(grantOf("ten_1"), "pepper", 8);
      const { key: fresh } = mintKey(grantOf("ten_1"), "pepper", 8);
      const endpoint = newEndpoint();
      const changes: ((entry: AuditEntry) => Promise<unknown>)[] = [
        (entry) => tenants.create(tenant, entry),
        (entry) => tenants.setDisabled("ten_1", 9, entry),
        (entry) => tenants.setDisabled("ten_1", null, entry),
        (entry) => tenants.setLimits("ten_1", { unfinishedRuns: 3 }, entry),
        (entry) => tenants.createKey(key, entry),
        (entry) => tenants.replaceKey(fresh, { keyId: key.id, expiresAt: 20 }, [entry]),
        (entry) => tenants.revokeKey("ten_1", key.id, 10, entry),
        (entry) => webhooks.createEndpoint(endpoint, entry),
        (entry) => webhooks.replaceEndpoint({ ...endpoint, version: 2 }, null, entry),
        (entry) => webhooks.removeEndpoint("ten_1", endpoint.id, entry),
      ];
      const written: AuditEntry[] = [];
      for (const [i, change] of changes.entries()) {
        const before = await state(store, key.id, endpoint.id);
        if (i > 0) {
          // An id that is taken: the entry cannot be written, so the change must not be made.
          const taken = { ...newEntry(), id: "aud_taken", at: day };
          if (i === 1) await store.audit.append(taken);
          await change(taken).catch(() => null);
          expect(await state(store, key.id, endpoint.id), `change ${i}`).toEqual(before);
        }
        const entry = newEntry({ at: 7 * day + i });
        await change(entry);
        written.unshift(entry);
        expect(await state(store, key.id, endpoint.id), `change ${i}`).not.toEqual(before);
        expect(await all({ from: 7 * day })).toEqual(written);
      }
      // Nothing changed: no entry.
      const missing = newEntry({ at: 8 * day });
      expect(await tenants.revokeKey("ten_2", key.id, 9, missing)).toBe(false);
      expect(await tenants.setDisabled("ten_9", 9, missing)).toBe(false);
      expect(await webhooks.removeEndpoint("ten_1", endpoint.id, missing)).toBe(false);
      expect(await all({ from: 8 * day })).toEqual([]);
    });

    test("a change with two entries of one day leaves both", async () => {
      const [key, fresh] = [1, 2].map(() => mintKey(grantOf("ten_1"), "pepper", 8).key);
      if (!key || !fresh) throw new Error("Two keys were minted.");
      await store.tenants.createKey(key);
      const entries = [newEntry({ at: 5 }), newEntry({ at: 6, action: "apiKey.expire" })];
      await store.tenants.replaceKey(fresh, { keyId: key.id, expiresAt: 20 }, entries);
      expect(await all()).toEqual(entries.toReversed());
    });

    test("every action is kept", async () => {
      for (const action of auditActions) await store.audit.append(newEntry({ action }));
      expect((await all()).map(({ action }) => action)).toEqual(auditActions.toReversed());
    });
  });
}

async function state({ tenants, webhooks }: OpenAudit, keyId: string, endpointId: string) {
  return {
    tenant: await tenants.get("ten_1"),
    key: await tenants.findKey(keyId),
    endpoint: await webhooks.getEndpoint("ten_1", endpointId),
  };
}
