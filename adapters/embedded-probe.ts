import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { StorageProbe } from "../core/ports.ts";
import { writeFileDurably } from "./disk.ts";
import type { Sqlite } from "./sqlite.ts";

/** About what a run of some tasks takes of the database, and as much of a file. */
const probeBytes = 8_192;

/**
 * Writes what a run writes: a row of a run's size, which takes the place of the one before, and a
 * file beside the images. The new row is written before the old one goes, so that it needs pages of
 * its own, as a run does.
 */
export function embeddedProbe(sqlite: Sqlite, dataDir: string): StorageProbe {
  const path = join(dataDir, "images", ".probe");
  let next = 0;
  return {
    async write() {
      next = 1 - next;
      sqlite.write(() => {
        sqlite.run(
          "INSERT OR REPLACE INTO probes (id, data) VALUES (?, zeroblob(?))",
          next,
          probeBytes,
        );
        sqlite.run("DELETE FROM probes WHERE id <> ?", next);
      });
      await writeFileDurably(path, [new Uint8Array(probeBytes)]);
      await rm(path, { force: true });
    },
  };
}
