import type { Command } from "commander";
import { createTenant, setTenantDisabled } from "../../core/api-keys.ts";
import type { Ports } from "../../core/ports.ts";
import type { Tenant } from "../../core/tenant.ts";
import { addDelete } from "../delete-tenant.ts";
import { instantText, type OperatorOptions, operate, operatorOptions } from "../operate.ts";
import { alignColumns } from "../print.ts";
import { addLimits } from "../tenant-limits.ts";

/** `vedere tenants`: whom the service serves. */
export function addTenants(program: Command): void {
  const tenants = program
    .command("tenants")
    .description(
      "Creates, lists, disables, enables and deletes tenants: the customers of the service.",
    );
  const add = (name: string, description: string) =>
    tenants
      .command(name)
      .description(description)
      .option(...operatorOptions.json)
      .option(...operatorOptions.data);
  add("create", "Makes a tenant; `vedere keys create` gives it a key.")
    .argument("<name>", "for people")
    .action(create);
  add("list", "Lists all tenants, by id.").action(list);
  addLimits(add("limits", "Shows or changes what one tenant may do."));
  add("disable", "Shuts all of a tenant's keys out. Runs that were taken are finished.")
    .argument("<tenant>", "its id")
    .action(disable);
  add("enable", "Lets a disabled tenant's keys in again.")
    .argument("<tenant>", "its id")
    .action(enable);
  addDelete(
    add(
      "delete",
      "Deletes a tenant and all that it has, for good; asked again, tells how far that is.",
    ),
    allTenants,
  );
}

function create(name: string, options: OperatorOptions): Promise<void> {
  return operate(
    options,
    (ports) => createTenant(ports, name),
    ({ id }) => `${id}\n`,
  );
}

function list(options: OperatorOptions): Promise<void> {
  return operate(options, allTenants, (tenants) =>
    tenants.length > 0 ? alignColumns(tenants.map(cells)) : "There are no tenants yet.\n",
  );
}

async function allTenants({ tenants }: Pick<Ports, "tenants">): Promise<Tenant[]> {
  const all: Tenant[] = [];
  for (;;) {
    const page = await tenants.list({ first: 500, after: all.at(-1)?.id ?? null });
    all.push(...page);
    if (page.length < 500) return all;
  }
}

function disable(tenantId: string, options: OperatorOptions): Promise<void> {
  return operate(options, (ports) => setTenantDisabled(ports, tenantId, true), line);
}

function enable(tenantId: string, options: OperatorOptions): Promise<void> {
  return operate(options, (ports) => setTenantDisabled(ports, tenantId, false), line);
}

const line = (tenant: Tenant) => alignColumns([cells(tenant)]);

function cells({ id, name, createdAt, disabledAt, deletion }: Tenant): string[] {
  return [id, stateOf({ disabledAt, deletion }), `created ${instantText(createdAt)}`, name];
}

function stateOf({ disabledAt, deletion }: Pick<Tenant, "disabledAt" | "deletion">): string {
  if (deletion?.finishedAt) return `deleted ${instantText(deletion.finishedAt)}`;
  if (deletion) return `deleting since ${instantText(deletion.startedAt)}`;
  return disabledAt === null ? "enabled" : `disabled ${instantText(disabledAt)}`;
}
