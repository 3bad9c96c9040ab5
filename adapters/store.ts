import type { Ports } from "../core/ports.ts";

/** What a store gives to the service: everything but the models of this machine and the time. */
export interface Store extends Omit<Ports, "models" | "clock"> {
  /** Ends all waits at once; the ports are of no use afterwards. */
  close(): Promise<void>;
}
