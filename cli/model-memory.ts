import { totalmem } from "node:os";
import type { Config } from "../adapters/config.ts";

/**
 * What the models of one of several workers may take together, in MB: as it is set, else its share
 * of half of what this machine or container has.
 */
export function modelMemoryMb(config: Pick<Config, "modelMemoryMb">, workers = 1): number {
  const constrained = process.constrainedMemory(); // 0, or more than there is, where nothing constrains this process
  const bytes = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return config.modelMemoryMb ?? Math.max(1, Math.floor(bytes / 2 / Math.max(1, workers) / 1e6));
}
