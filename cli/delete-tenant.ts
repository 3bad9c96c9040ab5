import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import { deleteTenant } from "../core/delete-tenant.ts";
import { AppError } from "../core/errors.ts";
import type { Ports } from "../core/ports.ts";
import type { Tenant, TenantDeletion } from "../core/tenant.ts";
import { instantText, type OperatorOptions, operate } from "./operate.ts";

interface DeleteOptions extends OperatorOptions {
  readonly yes?: true;
}

/** `vedere tenants delete`: begins a deletion, or tells how far one is. */
export function addDelete(command: Command, allTenants: AllTenants): void {
  command
    .argument("<tenant>", "its id, or its name")
    .option("--yes", "do not ask for the name")
    .action((given: string, options: DeleteOptions) =>
      operate(
        options,
        async (ports) => {
          const tenant = await findTenant(ports, given, allTenants);
          if (!tenant.deletion && !options.yes) await confirm(tenant);
          return deleteTenant(ports, tenant.id);
        },
        ({ id, deletion }) => `${id}: ${deletion ? report(deletion) : ""}\n`,
      ),
    );
}

type AllTenants = (ports: Pick<Ports, "tenants">) => Promise<Tenant[]>;

/** How far a deletion is, in one line. */
export function report({ startedAt, finishedAt, erased }: TenantDeletion): string {
  const counts = Object.entries(erased)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${count} ${name}`);
  const state =
    finishedAt === null
      ? `being deleted since ${instantText(startedAt)} by the gateway, while one runs; so far`
      : `deleted ${instantText(finishedAt)}:`;
  return `${state} ${counts.length > 0 ? counts.join(", ") : "nothing"}`;
}

/** By id, else by name. Throws AppError NOT_FOUND, or INVALID if several have the name. */
export async function findTenant(
  ports: Pick<Ports, "tenants">,
  given: string,
  allTenants: AllTenants,
): Promise<Tenant> {
  const byId = await ports.tenants.get(given);
  const found = byId ? [byId] : (await allTenants(ports)).filter(({ name }) => name === given);
  const [tenant] = found;
  if (!tenant) {
    throw new AppError("NOT_FOUND", `There is no tenant ${given}.`, {
      fix: "`vedere tenants list` names them all.",
    });
  }
  if (found.length > 1) {
    throw new AppError("INVALID", `${found.length} tenants have the name ${given}.`, {
      fix: `Give its id: ${found.map(({ id }) => id).join(", ")}.`,
    });
  }
  return tenant;
}

/** Throws AppError INVALID unless the name is typed again. */
async function confirm({ id, name }: Tenant): Promise<void> {
  if (!process.stdin.isTTY) {
    throw new AppError("INVALID", "Nobody can be asked here.", {
      fix: `Add --yes to delete ${id} (${name}) and all that it has, for good.`,
    });
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const question = `Deletes ${id} and all that it has, for good. Type its name (${name}): `;
    if ((await terminal.question(question)) === name) return;
  } finally {
    terminal.close();
  }
  throw new AppError("INVALID", "This is not its name. Nothing was deleted.");
}
