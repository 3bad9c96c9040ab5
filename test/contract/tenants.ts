import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Tenants } from "../../core/ports.ts";
import { keyAdmits, mintKey, parseKey } from "../../core/tenant.ts";

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

    const tenant = { id: "ten_1", name: "Örtliche Werke", createdAt: 7 };

    test("a stored tenant reads back as it was, here and elsewhere", async () => {
      await store.tenants.create(tenant);
      expect(await store.tenants.get("ten_1")).toEqual(tenant);
      expect(await store.elsewhere.get("ten_1")).toEqual(tenant);
      expect(await store.tenants.get("ten_2")).toBeNull();
    });

    test("an id is not given to a second tenant", async () => {
      await store.tenants.create(tenant);
      await expect(store.tenants.create({ ...tenant, name: "another" })).rejects.toThrow();
      expect(await store.tenants.get("ten_1")).toEqual(tenant);
    });

    test("a minted key is found by its id and admits its secret elsewhere", async () => {
      await store.tenants.create(tenant);
      const { text, key } = mintKey("ten_1", "pepper", 8);
      await store.tenants.createKey(key);
      const found = await store.elsewhere.findKey(key.id);
      expect(found).toEqual(key);
      expect(found && keyAdmits(found, parseKey(text)?.secret ?? "", "pepper")).toBe(true);
    });

    test("a key that was revoked when it was stored reads back as revoked", async () => {
      const key = { ...mintKey("ten_1", "pepper", 8).key, revokedAt: 9 };
      await store.tenants.createKey(key);
      expect(await store.tenants.findKey(key.id)).toEqual(key);
    });

    test("an unknown key is null", async () => {
      expect(await store.tenants.findKey("0000000000000000000000")).toBeNull();
    });
  });
}
