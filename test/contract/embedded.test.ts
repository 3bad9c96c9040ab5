import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Bell, openBell } from "../../adapters/bell.ts";
import { embeddedProbe } from "../../adapters/embedded-probe.ts";
import { fileImages } from "../../adapters/file-images.ts";
import { openSqlite, type Sqlite } from "../../adapters/sqlite.ts";
import { sqliteAudit } from "../../adapters/sqlite-audit.ts";
import { sqliteBudgets } from "../../adapters/sqlite-budgets.ts";
import { sqliteModels } from "../../adapters/sqlite-models.ts";
import { sqliteQueue } from "../../adapters/sqlite-queue.ts";
import { sqliteRetention } from "../../adapters/sqlite-retention.ts";
import { sqliteRuns } from "../../adapters/sqlite-runs.ts";
import { sqliteSessions } from "../../adapters/sqlite-sessions.ts";
import { sqliteTenants } from "../../adapters/sqlite-tenants.ts";
import { sqliteWebhooks } from "../../adapters/sqlite-webhooks.ts";
import type { Clock, UploadTarget } from "../../core/ports.ts";
import { auditContract } from "./audit.ts";
import { budgetsContract } from "./budgets.ts";
import { imagesContract, uploadReceiverContract } from "./images.ts";
import { probeContract } from "./probe.ts";
import { queueContract } from "./queue.ts";
import { registryContract } from "./registry.ts";
import { retentionContract } from "./retention.ts";
import { runsContract } from "./runs.ts";
import { sessionsContract } from "./sessions.ts";
import { tenantsContract } from "./tenants.ts";
import { webhooksContract } from "./webhooks.ts";

/**
 * A data folder with what two processes have open on it. In memory there are not two: both share a
 * database and a bell.
 */
interface Opened {
  readonly folder: string;
  readonly here: { sqlite: Sqlite; bell: Bell };
  readonly there: { sqlite: Sqlite; bell: Bell };
  close(): Promise<void>;
}

function open(handles: (folder: string) => Pick<Opened, "here" | "there">): Opened {
  const folder = mkdtempSync(join(tmpdir(), "vedere-contract-"));
  const { here, there } = handles(folder);
  return {
    folder,
    here,
    there,
    async close() {
      for (const { sqlite, bell } of new Set([here, there])) {
        bell.close();
        sqlite.close();
      }
      rmSync(folder, { recursive: true });
    },
  };
}

const openInMemory = () =>
  open(() => {
    const here = { sqlite: openSqlite(":memory:"), bell: openBell(null) };
    return { here, there: here };
  });

const openFile = () =>
  open((folder) => {
    const handle = () => ({
      sqlite: openSqlite(join(folder, "vedere.db")),
      bell: openBell(join(folder, "bells")),
    });
    return { here: handle(), there: handle() };
  });

for (const { name, openStore } of [
  { name: "SQLite in memory", openStore: openInMemory },
  { name: "SQLite in a file", openStore: openFile },
]) {
  runsContract(name, async () => {
    const { here, there, close } = openStore();
    return {
      runs: sqliteRuns(here.sqlite, here.bell),
      elsewhere: sqliteRuns(there.sqlite, there.bell),
      close,
    };
  });

  probeContract(name, async () => {
    const { folder, here, there, close } = openStore();
    return {
      probe: embeddedProbe(here.sqlite, folder),
      elsewhere: embeddedProbe(there.sqlite, folder),
      runs: sqliteRuns(here.sqlite, here.bell),
      close,
    };
  });

  queueContract(name, async (clock) => {
    const { here, there, close } = openStore();
    return {
      queue: sqliteQueue(here.sqlite, here.bell, clock),
      elsewhere: sqliteQueue(there.sqlite, there.bell, clock),
      close,
    };
  });

  tenantsContract(name, async () => {
    const { here, there, close } = openStore();
    return { tenants: sqliteTenants(here.sqlite), elsewhere: sqliteTenants(there.sqlite), close };
  });

  auditContract(name, async () => {
    const { here, there, close } = openStore();
    return {
      audit: sqliteAudit(here.sqlite),
      tenants: sqliteTenants(here.sqlite),
      webhooks: sqliteWebhooks(here.sqlite, here.bell, { now: () => 1 }),
      elsewhere: sqliteAudit(there.sqlite),
      close,
    };
  });

  sessionsContract(name, async () => {
    const { here, there, close } = openStore();
    return {
      sessions: sqliteSessions(here.sqlite),
      elsewhere: sqliteSessions(there.sqlite),
      close,
    };
  });

  budgetsContract(name, async () => {
    const { here, there, close } = openStore();
    return { budgets: sqliteBudgets(here.sqlite), elsewhere: sqliteBudgets(there.sqlite), close };
  });

  webhooksContract(name, async () => {
    const { here, there, close } = openStore();
    const clock = { now: () => 1_000_000 };
    const storeOf = ({ sqlite, bell }: Opened["here"]) => ({
      runs: sqliteRuns(sqlite, bell),
      webhooks: sqliteWebhooks(sqlite, bell, clock),
    });
    return { ...storeOf(here), elsewhere: storeOf(there), close };
  });

  registryContract(name, async () => {
    const { here, there, close } = openStore();
    return { registry: sqliteModels(here.sqlite), elsewhere: sqliteModels(there.sqlite), close };
  });

  const openImages = async (clock: Clock) => {
    const { folder, here, there, close } = openStore();
    const place = { folder, publicUrl: "http://127.0.0.1:4000", secret: "5".repeat(64) };
    return {
      ...fileImages(here.sqlite, clock, place),
      elsewhere: fileImages(there.sqlite, clock, place).images,
      close,
    };
  };

  imagesContract(name, async (clock) => {
    const { images, uploads, elsewhere, close } = await openImages(clock);
    const put = async (target: UploadTarget, body: readonly Uint8Array[]) => {
      const { pathname, searchParams } = new URL(target.url);
      const chunks = (async function* () {
        yield* body;
      })();
      await uploads.accept(
        pathname.replace("/uploads/", ""),
        searchParams.get("signature") ?? "",
        chunks,
      );
    };
    return { images, elsewhere, put, close };
  });

  uploadReceiverContract(name, openImages);

  retentionContract(
    name,
    async (clock) => {
      const { folder, here, close } = openStore();
      const place = { folder, publicUrl: "http://127.0.0.1:4000", secret: "5".repeat(64) };
      return {
        runs: sqliteRuns(here.sqlite, here.bell),
        webhooks: sqliteWebhooks(here.sqlite, here.bell, clock),
        images: fileImages(here.sqlite, clock, place).images,
        retention: sqliteRetention(here, clock, folder),
        audit: sqliteAudit(here.sqlite),
        tenants: sqliteTenants(here.sqlite),
        close,
      };
    },
    120,
  );
}
