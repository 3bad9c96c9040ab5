import { mkdirSync, statSync } from "node:fs";
import path from "node:path";
import { type Config, type Overrides, readConfig } from "../adapters/config.ts";
import { systemFault } from "../adapters/system-fault.ts";
import { AppError } from "../core/errors.ts";

/**
 * The settings of a command that works on a service's data folder. Throws AppError SETTING_INVALID
 * where it is not there.
 */
export function readDataConfig(overrides: Overrides): Config {
  const config = readConfig(undefined, overrides);
  if (!isThere(config)) throw noFolder(config.dataDir);
  return config;
}

/**
 * As readDataConfig, but the default folder need not be there: models come before the first start.
 */
export function readModelConfig(overrides: Overrides): Config {
  const config = readConfig(undefined, overrides);
  if (!isThere(config) && !isDefault(config)) throw noFolder(config.dataDir);
  return config;
}

/**
 * Makes the data folder of a service that starts for the first time, and returns what to say of it;
 * null where it is there. Throws AppError SETTING_INVALID where the folder above it is missing: a
 * path that was mistyped gets no folders.
 */
export function makeDataFolder(config: Config): string | null {
  if (isThere(config)) return null;
  const { dataDir } = config;
  const above = path.dirname(dataDir);
  if (!statSync(above, { throwIfNoEntry: false })?.isDirectory()) {
    throw new AppError(
      "SETTING_INVALID",
      `The data folder ${dataDir} cannot be made: there is no folder ${above}.`,
      { fix: `Make ${above} first, or choose another with --data or VEDERE_DATA.` },
    );
  }
  try {
    mkdirSync(dataDir, { mode: 0o700 });
  } catch (cause) {
    if (isThere(config)) return null; // another process was faster
    throw unusable(dataDir, cause);
  }
  return `Made a new data folder at ${dataDir}\n`;
}

/** Whether it is the folder that is taken where nobody names one. */
export function isDefault({ dataDir }: Config): boolean {
  return dataDir === path.resolve(".vedere");
}

/**
 * Whether the data folder is there; in AWS there is none that matters. Throws AppError
 * SETTING_INVALID where it cannot be looked at.
 */
export function isThere({ store, dataDir }: Config): boolean {
  if (store === "aws") return true;
  try {
    const found = statSync(dataDir, { throwIfNoEntry: false });
    if (!found || found.isDirectory()) return found !== undefined;
  } catch (cause) {
    throw unusable(dataDir, cause);
  }
  throw new AppError("SETTING_INVALID", `The data folder ${dataDir} is a file.`, {
    fix: "Name the folder with --data or VEDERE_DATA.",
  });
}

function noFolder(dataDir: string): AppError {
  return new AppError("SETTING_INVALID", `There is no data folder at ${dataDir}.`, {
    fix: "Name the one of your service with --data or VEDERE_DATA; `vedere start` makes a new one.",
  });
}

function unusable(dataDir: string, cause: unknown): AppError {
  const reason = systemFault(cause)?.message ?? String(cause);
  return new AppError("SETTING_INVALID", `The data folder ${dataDir} cannot be used: ${reason}`, {
    fix: "Name another with --data or VEDERE_DATA.",
    cause,
  });
}
