import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Tenants } from "../../core/ports.ts";
import { keyAdmits, mintKey, parseKey } from "../../core/tenant.ts";
import { noTenantLimits } from "../../core/tenant-limits.ts";
import { grantOf } from "../core/new-key.ts";

/** What `open` gives: an empty store, and the same store as another process sees it. */
export interface OpenTenants {
  readonly tenants: Tenants;
  readonly elsewhere: Tenants;
  close(): Promise<void>;
}

/** What every store of tenants promises. */
export function tenantsContract(name: string, open: () => Promise<OpenTenants>): void {
  describe(`tenants: ${name}`, () => {
    let store: OpenTenants;
    beforeEach(async () => {
      store = await open();
    });
    afterEach(() => store.close());

    const tenant = { id: "ten_1", name: "Örtliche Werke", createdAt: 7, disabledAt: null };
    const stored = { ...tenant, limits: noTenantLimits, deletion: null };

    test("a stored tenant reads back as it was, here and elsewhere", async () => {
      await store.tenants.create(tenant);
      expect(await store.tenants.get("ten_1")).toEqual(stored);
      expect(await store.elsewhere.get("ten_1")).toEqual(stored);
      expect(await store.tenants.get("ten_2")).toBeNull();
    });

    test("an id is not given to a second tenant", async () => {
      await store.tenants.create(tenant);
      await expect(store.tenants.create({ ...tenant, name: "another" })).rejects.toThrow();
      expect(await store.tenants.get("ten_1")).toEqual(stored);
    });

    test("tenants are listed by id, a page at a time", async () => {
      for (const id of ["ten_c", "ten_a", "ten_b"]) await store.tenants.create({ ...tenant, id });
      const ids = async (page: { first: number; after: string | null }) =>
        (await store.elsewhere.list(page)).map(({ id }) => id);
      expect(await ids({ first: 2, after: null })).toEqual(["ten_a", "ten_b"]);
      expect(await ids({ first: 2, after: "ten_b" })).toEqual(["ten_c"]);
    });

    test("a tenant is disabled and enabled for all to see, and a missing one is not", async () => {
      await store.tenants.create(tenant);
      expect(await store.tenants.setDisabled("ten_1", 9)).toBe(true);
      expect(await store.elsewhere.get("ten_1")).toEqual({ ...stored, disabledAt: 9 });
      expect(await store.tenants.setDisabled("ten_1", null)).toBe(true);
      expect(await store.elsewhere.get("ten_1")).toEqual(stored);
      expect(await store.tenants.setDisabled("ten_2", 9)).toBe(false);
      expect(await store.elsewhere.get("ten_2")).toBeNull();
    });

    test("limits are set, kept and cleared one by one, and a missing tenant has none", async () => {
      await store.tenants.create(tenant);
      await store.tenants.create({ ...tenant, id: "ten_2" });
      const limitsOf = async (id: string) => (await store.elsewhere.get(id))?.limits;
      const first = { unitsPerMonth: 5_000, webhookHosts: ["*.example.com"], modelsAllowed: [] };
      expect(await store.tenants.setLimits("ten_1", first)).toBe(true);
      expect(await limitsOf("ten_1")).toEqual({ ...noTenantLimits, ...first });
      const second = { unitsPerMonth: null, retentionDays: 30, webhookHosts: ["a.test", "b.test"] };
      expect(await store.elsewhere.setLimits("ten_1", second)).toBe(true);
      const both = { ...noTenantLimits, ...first, ...second };
      expect(await store.tenants.get("ten_1")).toEqual({ ...stored, limits: both });
      expect(await store.tenants.setLimits("ten_1", {})).toBe(true);
      expect(await limitsOf("ten_1")).toEqual(both);
      expect((await store.tenants.list({ first: 1, after: null }))[0]?.limits).toEqual(both);
      expect(await limitsOf("ten_2")).toEqual(noTenantLimits);
      expect(await store.tenants.setLimits("ten_3", first)).toBe(false);
      expect(await store.tenants.setLimits("ten_3", {})).toBe(false);
      expect(await store.tenants.get("ten_3")).toBeNull();
    });

    test("changes of different limits at once all count", async () => {
      await store.tenants.create(tenant);
      await Promise.all([
        store.tenants.setLimits("ten_1", { unitsPerSecond: 1 }),
        store.elsewhere.setLimits("ten_1", { burstUnits: 2 }),
        store.tenants.setLimits("ten_1", { unfinishedRuns: 3 }),
        store.elsewhere.setLimits("ten_1", { modelsAllowed: ["a@1"] }),
      ]);
      expect((await store.tenants.get("ten_1"))?.limits).toEqual({
        ...noTenantLimits,
        ...{ unitsPerSecond: 1, burstUnits: 2, unfinishedRuns: 3, modelsAllowed: ["a@1"] },
      });
    });

    test("a minted key is found by its id and admits its secret elsewhere", async () => {
      await store.tenants.create(tenant);
      const { text, key } = mintKey(
        grantOf("ten_1", { scopes: ["RUNS_READ", "OPERATOR"], expiresAt: 70 }),
        "pepper",
        8,
      );
      await store.tenants.createKey(key);
      const found = await store.elsewhere.findKey(key.id);
      expect(found).toEqual(key);
      expect(
        found && keyAdmits(found, parseKey(text)?.secret ?? "", { pepper: "pepper", now: 9 }),
      ).toBe(true);
    });

    test("a tenant's keys are listed newest first, and no other's", async () => {
      const minted = [
        mintKey(grantOf("ten_1"), "pepper", 8),
        mintKey(grantOf("ten_1"), "pepper", 9),
        mintKey(grantOf("ten_2"), "pepper", 9),
      ];
      for (const { key } of minted) await store.tenants.createKey(key);
      expect(await store.elsewhere.keys("ten_1")).toEqual([minted[1]?.key, minted[0]?.key]);
      expect(await store.elsewhere.keys("ten_3")).toEqual([]);
    });

    test("a key is revoked once, by its own tenant", async () => {
      const { key } = mintKey(grantOf("ten_1"), "pepper", 8);
      await store.tenants.createKey(key);
      expect(await store.tenants.revokeKey("ten_2", key.id, 9)).toBe(false);
      expect(await store.elsewhere.findKey(key.id)).toEqual(key);
      expect(await store.tenants.revokeKey("ten_1", key.id, 10)).toBe(true);
      expect(await store.tenants.revokeKey("ten_1", key.id, 11)).toBe(true);
      expect(await store.elsewhere.findKey(key.id)).toEqual({ ...key, revokedAt: 10 });
    });

    const mint = (tenantId: string) => mintKey(grantOf(tenantId), "pepper", 8).key;

    test("a key is replaced: the fresh one is there, and the old one ends", async () => {
      const [key, fresh] = [mint("ten_1"), mint("ten_1")];
      await store.tenants.createKey(key);
      expect(await store.tenants.replaceKey(fresh, { keyId: key.id, expiresAt: 20 })).toBe(true);
      expect(await store.elsewhere.findKey(key.id)).toEqual({ ...key, expiresAt: 20 });
      expect(await store.elsewhere.findKey(fresh.id)).toEqual(fresh);
      expect((await store.elsewhere.keys("ten_1")).map(({ id }) => id).toSorted()).toEqual(
        [key.id, fresh.id].toSorted(),
      );
    });

    test("a key that ends earlier, is revoked, missing or another tenant's is not replaced", async () => {
      const [key, revoked] = [mint("ten_1"), mint("ten_1")];
      await store.tenants.createKey(key);
      await store.tenants.createKey(revoked);
      await store.tenants.revokeKey("ten_1", revoked.id, 9);
      expect(await store.tenants.replaceKey(mint("ten_1"), { keyId: key.id, expiresAt: 15 })).toBe(
        true,
      );
      const before = await store.tenants.keys("ten_1");
      for (const [fresh, keyId, expiresAt] of [
        [mint("ten_1"), key.id, 16],
        [mint("ten_1"), revoked.id, 10],
        [mint("ten_1"), "0000000000000000000000", 10],
        [mint("ten_2"), key.id, 10],
      ] as const) {
        expect(await store.tenants.replaceKey(fresh, { keyId, expiresAt })).toBe(false);
        expect(await store.elsewhere.findKey(fresh.id)).toBeNull();
      }
      expect(await store.elsewhere.keys("ten_1")).toEqual(before);
    });

    test("an unknown key is null, and cannot be changed", async () => {
      const unknown = "0000000000000000000000";
      expect(await store.tenants.findKey(unknown)).toBeNull();
      expect(await store.tenants.revokeKey("ten_1", unknown, 9)).toBe(false);
    });
  });
}
