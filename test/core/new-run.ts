import type { Run } from "../../core/run.ts";

/** A queued run of two tasks, as a store would hold it. */
export function newRun(fields: Partial<Run> = {}): Run {
  return {
    id: "run_1",
    tenantId: "ten_1",
    version: 1,
    status: "QUEUED",
    attempt: 0,
    image: { id: "img_1", sha256: "00", mediaType: "image/png", byteSize: 1, width: 4, height: 4 },
    model: "florence-2-nano",
    tasks: [
      { name: "CAPTION", input: { detail: "BRIEF" }, outcome: null },
      { name: "READ_TEXT", input: { regions: false }, outcome: null },
    ],
    imageTimings: null,
    metadata: null,
    createdAt: 0,
    startedAt: null,
    finishedAt: null,
    expiresAt: 1_000_000,
    ...fields,
  };
}
