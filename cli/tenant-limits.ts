import { type Command, InvalidArgumentError } from "commander";
import type { AuditedPorts } from "../core/api-keys.ts";
import { setTenantLimits } from "../core/set-tenant-limits.ts";
import {
  limitMax,
  type TenantLimits,
  type TenantLimitsChange,
  tenantLimitNames,
} from "../core/tenant-limits.ts";
import { type OperatorOptions, operate } from "./operate.ts";
import { alignColumns } from "./print.ts";

type LimitName = keyof TenantLimits;
type Options = OperatorOptions & TenantLimitsChange & { readonly clear?: readonly LimitName[] };

/** `vedere tenants limits`: shows a tenant's limits, after the changes that its options name. */
export function addLimits(command: Command): void {
  command.argument("<tenant>", "its id");
  for (const name of Object.keys(limitMax) as (keyof typeof limitMax)[])
    command.option(`--${flagOf(name)} <number>`, `1 to ${limitMax[name]}`, wholeNumber);
  command
    .option("--models-allowed <names>", 'by comma: ids, id@revision or aliases; "": none', listed)
    .option("--webhook-hosts <hosts>", 'by comma: hosts or *.example.com; "": none', listed)
    .option("--clear <limits>", "by comma: limits that the service's settings decide again", names)
    .action(limits);
}

function limits(tenantId: string, options: Options): Promise<void> {
  const cleared = Object.fromEntries((options.clear ?? []).map((name) => [name, null]));
  const given = Object.fromEntries(
    tenantLimitNames.flatMap((name) =>
      options[name] === undefined ? [] : [[name, options[name]]],
    ),
  );
  return operate(
    options,
    (ports) => changed(ports, tenantId, { ...cleared, ...given }),
    ({ limits }) =>
      alignColumns(tenantLimitNames.map((name) => [flagOf(name), valueText(limits[name])])),
  );
}

/** Every fault in one error: the command line prints one. */
async function changed(ports: AuditedPorts, tenantId: string, change: TenantLimitsChange) {
  try {
    return await setTenantLimits(ports, tenantId, change);
  } catch (error) {
    throw error instanceof AggregateError ? error.errors[0] : error;
  }
}

function valueText(value: TenantLimits[LimitName]): string {
  if (value === null) return "(the service's setting)";
  return typeof value === "number" ? String(value) : value.join(", ") || "(none)";
}

/** unitsPerMonth is units-per-month on the command line. */
function flagOf(name: LimitName): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function wholeNumber(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError("Give a whole number.");
  return Number(text);
}

function listed(text: string): string[] {
  return text === "" ? [] : text.split(",").map((each) => each.trim());
}

function names(text: string): LimitName[] {
  return listed(text).map((flag) => {
    const known = tenantLimitNames.find((name) => flagOf(name) === flag);
    if (known) return known;
    throw new InvalidArgumentError(`Name some of: ${tenantLimitNames.map(flagOf).join(", ")}.`);
  });
}
