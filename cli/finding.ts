import type { Config } from "../adapters/config.ts";

/** What one check found. WARN: it works, but look at it. */
export interface Finding {
  readonly status: "OK" | "WARN" | "FAIL";
  readonly detail: string;
  readonly fix?: string;
}

/** One thing to look at. A check that throws has failed. */
export interface HealthCheck {
  readonly name: string;
  look(config: Config): Promise<Finding>;
}

/** Nothing to do. */
export function ok(detail: string): Finding {
  return { status: "OK", detail };
}
