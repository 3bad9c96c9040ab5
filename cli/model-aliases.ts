import { connectModels, type ModelConnection } from "../adapters/connect.ts";
import { auditEntry, commandLine } from "../core/audit.ts";
import { AppError } from "../core/errors.ts";
import { exactName, finalTarget, resolveModel, withAliases } from "../core/model-names.ts";
import type { ModelRegistry } from "../core/ports.ts";
import { readDataConfig } from "./data-folder.ts";
import { usageError } from "./failure.ts";

interface DataOption {
  readonly data?: string;
}

/**
 * `vedere models alias`: lets a name lead to a model. Throws AppError: INVALID, and MODEL_NOT_FOUND
 * or MODEL_UNAVAILABLE where no model that can be run is at its end.
 */
export async function setAlias(name: string, target: string, options: DataOption): Promise<void> {
  if (!/^\w[\w./-]*$/.test(name))
    throw usageError(
      `${JSON.stringify(name)} is no name for an alias.`,
      "Use letters, digits, and . _ - / after the first.",
    );
  const config = readDataConfig({ dataDir: options.data });
  const connection = await connectModels(config, { isMade: true });
  const { models, registry, close } = connection;
  try {
    if (!registry) throw new Error("There is no store.");
    const [all, aliases] = [
      await models.list(),
      (await registry.aliases()).filter((alias) => alias.name !== name),
    ];
    if (finalTarget(aliases, target, name) === null) {
      throw usageError(
        `${name} would lead to itself through ${target}.`,
        "Choose an id, id@revision, or an alias that leads to another model.",
      );
    }
    resolveModel(withAliases(all, aliases), target);
    await note(connection, "modelAlias.set", { name, target });
    await registry.setAlias({ name, target });
    const { id, revision } = resolveModel(withAliases(all, [...aliases, { name, target }]), name);
    process.stdout.write(`${name} → ${exactName({ id, revision })}\n`);
  } finally {
    close();
  }
}

/** `vedere models unalias`. Throws AppError MODEL_NOT_FOUND where there is none of this name. */
export async function removeAlias(name: string, options: DataOption): Promise<void> {
  const connection = await connectModels(readDataConfig({ dataDir: options.data }));
  const { registry, close } = connection;
  try {
    const isKnown = (await registry?.aliases())?.some((alias) => alias.name === name);
    if (isKnown) await note(connection, "modelAlias.remove", { name });
    if (isKnown && (await registry?.removeAlias(name)))
      process.stdout.write(`${name} is no alias any more.\n`);
    else throw await noAlias(name, registry);
  } finally {
    close();
  }
}

/** Before the change, so that there is none without an entry. */
async function note(
  { audit, clock }: Pick<ModelConnection, "audit" | "clock">,
  action: "modelAlias.set" | "modelAlias.remove",
  { name, ...details }: { readonly name: string; readonly target?: string },
): Promise<void> {
  const subject = { type: "ModelAlias", id: name, tenantId: null };
  await audit?.append(auditEntry({ clock, by: commandLine }, action, { subject, details }));
}

async function noAlias(name: string, registry: ModelRegistry | null): Promise<AppError> {
  const names = ((await registry?.aliases()) ?? []).map((alias) => alias.name).join(", ");
  return new AppError("MODEL_NOT_FOUND", `There is no alias ${name}.`, {
    fix: names ? `There are: ${names}.` : "`vedere models alias` makes one.",
  });
}
