import type { RunTask as StoredTask } from "../../core/run.ts";
import type { Size } from "../../schema/geometry.ts";
import { withUnits } from "./areas.ts";

type Task = StoredTask & { readonly image: Size };

export const RunTask = {
  result: ({ outcome, image }: Task) => (outcome?.result ? withUnits(outcome.result, image) : null),
  error: ({ outcome }: Task) => outcome?.error,
  finish: ({ outcome }: Task) => answered(outcome)?.finish,
  remainder: ({ outcome }: Task) => answered(outcome)?.remainder,
  raw: ({ outcome }: Task) => answered(outcome)?.raw,
  timings: ({ outcome }: Task) => answered(outcome)?.timings,
  provenance: ({ outcome }: Task) => answered(outcome)?.provenance,
};

/** The outcome, where it is an answer. */
function answered(outcome: StoredTask["outcome"]) {
  return outcome?.result ? outcome : null;
}
