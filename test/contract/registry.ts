import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { HostedModel, ModelRegistry } from "../../core/ports.ts";

/** What `open` gives: an empty store, and the same store as another process sees it. */
export interface OpenRegistry {
  readonly registry: ModelRegistry;
  readonly elsewhere: ModelRegistry;
  close(): Promise<void>;
}

/** What every store of aliases and workers' reports promises. */
export function registryContract(name: string, open: () => Promise<OpenRegistry>): void {
  describe(`model registry: ${name}`, () => {
    let store: OpenRegistry;
    beforeEach(async () => {
      store = await open();
    });
    afterEach(() => store.close());

    const ready: HostedModel = {
      ...{ id: "florence-2-base", revision: "1", state: "READY", message: null },
      ...{ executionProvider: "cpu", memoryBytes: 9_000_000_000 },
    };
    const failed: HostedModel = {
      ...ready,
      revision: "2",
      state: "FAILED",
      message: "Zu groß.",
      executionProvider: null,
      memoryBytes: 0,
    };

    test("aliases are listed by name, and read elsewhere as they were set", async () => {
      expect(await store.registry.aliases()).toEqual([]);
      await store.registry.setAlias({ name: "prod", target: "florence-2-base@1" });
      await store.registry.setAlias({ name: "beta", target: "prod" });
      expect(await store.elsewhere.aliases()).toEqual([
        { name: "beta", target: "prod" },
        { name: "prod", target: "florence-2-base@1" },
      ]);
    });

    test("an alias that is set again leads elsewhere", async () => {
      await store.registry.setAlias({ name: "prod", target: "a" });
      await store.elsewhere.setAlias({ name: "prod", target: "b" });
      expect(await store.registry.aliases()).toEqual([{ name: "prod", target: "b" }]);
    });

    test("an alias is removed once", async () => {
      await store.registry.setAlias({ name: "prod", target: "a" });
      expect(await store.elsewhere.removeAlias("prod")).toBe(true);
      expect(await store.registry.removeAlias("prod")).toBe(false);
      expect(await store.registry.aliases()).toEqual([]);
    });

    test("a worker's report takes the place of its last one, and leaves those of others alone", async () => {
      await store.registry.report({ workerId: "b", at: 1_000, models: [ready] });
      await store.registry.report({ workerId: "a", at: 1_001, models: [] });
      await store.registry.report({ workerId: "b", at: 1_002, models: [ready, failed] });
      expect(await store.elsewhere.reports(0)).toEqual([
        { workerId: "a", at: 1_001, models: [] },
        { workerId: "b", at: 1_002, models: [ready, failed] },
      ]);
    });

    test("workers that have been silent since an instant are left out", async () => {
      await store.registry.report({ workerId: "dead", at: 1_000, models: [ready] });
      await store.registry.report({ workerId: "alive", at: 2_000, models: [ready] });
      expect((await store.registry.reports(2_000)).map(({ workerId }) => workerId)).toEqual([
        "alive",
      ]);
      expect(await store.registry.reports(2_001)).toEqual([]);
    });

    test("what a worker takes back is gone", async () => {
      await store.registry.report({ workerId: "a", at: 1_000, models: [ready] });
      await store.elsewhere.removeReport("a");
      await store.elsewhere.removeReport("nobody");
      expect(await store.registry.reports(0)).toEqual([]);
    });
  });
}
