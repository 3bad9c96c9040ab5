import { connectTenants, type TenantConnection } from "../adapters/connect.ts";
import type { Granter } from "../core/api-keys.ts";
import { type Author, commandLine } from "../core/audit.ts";
import { readDataConfig } from "./data-folder.ts";

export interface OperatorOptions {
  readonly data?: string;
  readonly json?: true;
}

/** Who can open the data folder runs the service. */
export const operator: Granter = {
  tenantId: "",
  scopes: ["OPERATOR"],
  keyId: null,
  expiresAt: null,
};

export const operatorOptions = {
  data: ["--data <dir>", "the data folder (default: .vedere)"],
  json: ["--json", "print JSON"],
} as const;

/**
 * Opens the tenants for as long as `work` takes, and prints what it says: as JSON where that is
 * asked for, else as text.
 */
export async function operate<Result>(
  options: OperatorOptions,
  work: (ports: TenantConnection & { readonly by: Author }) => Promise<Result>,
  textOf: (result: Result, now: number) => string,
): Promise<void> {
  const ports = await connectTenants(readDataConfig({ dataDir: options.data }));
  try {
    const result = await work({ ...ports, by: commandLine });
    process.stdout.write(
      options.json ? `${JSON.stringify(result, null, 2)}\n` : textOf(result, ports.clock.now()),
    );
  } finally {
    ports.close();
  }
}

/** An instant for readers. */
export function instantText(at: number): string {
  return new Date(at).toISOString().replace(/\.\d+Z$/, "Z");
}
