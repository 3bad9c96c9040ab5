import type { Command } from "commander";
import { type Config, readConfig } from "../../adapters/config.ts";
import { connect } from "../../adapters/connect.ts";
import { hasData } from "../../adapters/embedded.ts";
import { createTenant, setTenantDisabled } from "../../core/api-keys.ts";
import { auditEntry, commandLine } from "../../core/audit.ts";
import { AppError } from "../../core/errors.ts";
import type { Ports } from "../../core/ports.ts";
import type { Tenant } from "../../core/tenant.ts";
import { addDelete, findTenant } from "../delete-tenant.ts";
import { exportTenant } from "../export-tenant.ts";
import { instantText, type OperatorOptions, operate, operatorOptions } from "../operate.ts";
import { alignColumns } from "../print.ts";
import { addLimits } from "../tenant-limits.ts";

/** `vedere tenants`: whom the service serves. */
export function addTenants(program: Command): void {
  const tenants = program
    .command("tenants")
    .description(
      "Creates, lists, disables, enables, exports and deletes tenants: the customers of the service.",
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
  add("export", "Writes all that belongs to a tenant into a new folder: docs/tenant-export.md.")
    .argument("<tenant>", "its id or its name")
    .argument("<dir>", "a folder that is empty, or does not exist yet")
    .action(exportAll);
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

async function exportAll(name: string, folder: string, options: OperatorOptions): Promise<void> {
  const config = readConfig(undefined, { dataDir: options.data });
  requireData(config);
  const ports = await connect(config);
  try {
    const tenant = await findTenant(ports, name, allTenants);
    const subject = { type: "Tenant", id: tenant.id, tenantId: tenant.id };
    const by = { clock: ports.clock, by: commandLine };
    const details = { folder };
    await ports.audit.append(auditEntry(by, "tenant.export", { subject, details }));
    const { manifest, ...made } = await exportTenant(ports, tenant, { folder });
    const records = manifest.files.reduce((sum, file) => sum + file.records, 0);
    const { images, faults } = manifest;
    process.stdout.write(
      options.json
        ? `${JSON.stringify({ ...made, ...manifest }, null, 2)}\n`
        : `${made.folder}: ${records} records, ${images.count} images, ${(images.byteSize / 1e6).toFixed(1)} MB.\n`,
    );
    if (faults.length === 0) return;
    process.stderr.write(
      `error: The export was made, but ${faults.length} images of it are not whole:\n  ${faults.slice(0, 10).join("\n  ")}\nfix: Look for disk errors in the system's log. A backup may hold these files.\n`,
    );
    process.exitCode = 1;
  } finally {
    await ports.close();
  }
}

function requireData({ store, dataDir }: Config): void {
  if (store === "aws" || hasData(dataDir)) return;
  throw new AppError("INVALID", `${dataDir} holds no data of Vedere: vedere.db is missing.`, {
    fix: "Name the data folder with --data or VEDERE_DATA.",
  });
}
