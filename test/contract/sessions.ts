import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { limits } from "../../core/limits.ts";
import type { Sessions } from "../../core/ports.ts";
import type { Session } from "../../core/session-record.ts";

/** What every store of sessions promises; `elsewhere` is another process's handle on it. */
export function sessionsContract(
  name: string,
  open: () => Promise<{ sessions: Sessions; elsewhere: Sessions; close(): Promise<void> }>,
): void {
  describe(`sessions in ${name}`, () => {
    let store: Awaited<ReturnType<typeof open>>;
    beforeAll(async () => {
      store = await open();
    });
    afterAll(() => store.close());

    const tokenOf = (hash: string, expiresAt = 1_000) => ({
      ...{ hash, tenantId: "ten_1", keyId: "key", expiresAt },
    });
    const sessionOf = (hash: string, parts: Partial<Session> = {}): Session => ({
      ...{ hash, tenantId: "ten_1", keyId: "key", scopes: ["RUNS_READ"] },
      ...{ createdAt: 0, expiresAt: 1_000, ...parts },
    });

    test("a token is taken once, whichever process asks", async () => {
      await store.sessions.createToken(tokenOf("t1"), 0);
      const taken = await Promise.all([
        store.elsewhere.takeToken("t1"),
        store.sessions.takeToken("t1"),
      ]);
      expect(taken.filter((token) => token !== null)).toEqual([tokenOf("t1")]);
      expect(await store.sessions.takeToken("t1")).toBeNull();
    });

    test("a token that has expired goes with the next one that is made", async () => {
      await store.sessions.createToken(tokenOf("old", 1_000), 0);
      await store.sessions.createToken(tokenOf("new", 2_000), 1_000);
      expect(await store.sessions.takeToken("old")).toBeNull();
      expect(await store.sessions.takeToken("new")).not.toBeNull();
    });

    test("a session is found as it was stored until it is ended", async () => {
      await store.sessions.create(sessionOf("s1"));
      expect(await store.elsewhere.find("s1")).toEqual(sessionOf("s1"));
      await store.elsewhere.end("s1");
      await store.elsewhere.end("s1");
      expect(await store.sessions.find("s1")).toBeNull();
    });

    test("expired sessions go with the next one that is made", async () => {
      await store.sessions.create(sessionOf("s2"));
      await store.sessions.create(sessionOf("s3", { createdAt: 1_000, expiresAt: 2_000 }));
      expect(await store.sessions.find("s2")).toBeNull();
      expect(await store.sessions.find("s3")).not.toBeNull();
    });

    test("a key's oldest sessions make room for new ones; other keys' stay", async () => {
      await store.sessions.create(sessionOf("other", { keyId: "other", createdAt: 0 }));
      const { perKeyMax } = limits.session;
      for (let i = 0; i <= perKeyMax; i += 1)
        await store.sessions.create(sessionOf(`many${i}`, { keyId: "many", createdAt: i }));
      expect(await store.sessions.find("many0")).toBeNull();
      expect(await store.sessions.find("many1")).not.toBeNull();
      expect(await store.sessions.find(`many${perKeyMax}`)).not.toBeNull();
      expect(await store.sessions.find("other")).not.toBeNull();
    });
  });
}
