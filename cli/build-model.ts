import { access, mkdir, rm, statfs } from "node:fs/promises";
import path from "node:path";
import { AppError } from "../core/errors.ts";
import type { ModelInfo } from "../core/ports.ts";
import {
  type BuildPlan,
  type BuildSource,
  planBuild,
  writeBuild,
} from "../inference/build/build.ts";
import {
  type Precisions,
  precisionName,
  precisionsOf,
} from "../inference/florence2/model-files.ts";
import { type About, writeManifest } from "./built-manifest.ts";
import { makeFolder } from "./draft.ts";
import { usageError } from "./failure.ts";
import { percent } from "./print.ts";
import { type Parity, type Proof, type ProofHooks, proveModel } from "./prove-model.ts";

export interface BuildRequest {
  readonly source: BuildSource;
  /** The folder that is made; `isForced` replaces an older one. */
  readonly target: string;
  readonly isForced: boolean;
  readonly precisions: Precisions;
  readonly about: About;
  readonly proof: Proof;
  /**
   * Whether a model that does not agree with its reference is kept, marked as not ready, instead of
   * thrown away.
   */
  readonly keepsUnready: boolean;
}

export interface BuildHooks extends ProofHooks {
  /** Hears of what is not as it should be but was helped. */
  readonly onWarning: (warning: string) => void;
  /** Hears how many bytes of weights are to be written, then of each piece. */
  readonly onWeights: (bytes: number) => void;
  readonly onBytes: (bytes: number, file: string) => void;
}

export interface Built {
  readonly parity: Parity;
  readonly isReady: boolean;
}

/** Beside the weights: configuration, tokenizer and operators. */
const spareBytes = 64e6;

/**
 * Builds a model's folder from a checkpoint. Everything is checked first; the graphs are written
 * and tried against the reference; the folder appears only when all of that is done. Throws
 * AppError: INVALID, MODEL_UNAVAILABLE (with all that is wrong with the checkpoint), MODEL_FAILED
 * (the model does not agree with its reference), CANCELED.
 */
export async function buildModel(request: BuildRequest, hooks: BuildHooks): Promise<Built> {
  const { source, target, precisions, about, proof } = request;
  if (!request.isForced && (await exists(target))) {
    throw usageError(
      `${target} is there already.`,
      "Choose another --out, or replace what is there with --force.",
    );
  }
  const plan = await planBuild(source, precisions);
  const isExact = precisionName(precisions) === "fp32";
  const exactPlan =
    isExact || proof.reference ? null : await planBuild(source, precisionsOf("fp32"));
  const weightBytes = plan.bytes + (exactPlan?.bytes ?? 0);
  return makeFolder(target, async (draft) => {
    await requireSpace(draft, weightBytes + spareBytes);
    for (const warning of plan.warnings) hooks.onWarning(warning);
    hooks.onWeights(weightBytes);
    await write(plan, draft, hooks);
    const built = draftModel(draft, about.id, precisionName(precisions));
    const prove = (exact: ModelInfo | null) => proveModel(built, exact, proof, hooks);
    const parity = exactPlan
      ? await makeScratch(path.join(draft, "reference"), async (folder) => {
          await write(exactPlan, folder, hooks);
          return prove(draftModel(folder, about.id, "fp32"));
        })
      : await prove(isExact ? built : null);
    const isReady = parity.tokenAgreement >= parity.agreementMin;
    if (!isReady && !request.keepsUnready) throw notReady(parity);
    await writeManifest(draft, { source, precisions, about, parity, isReady });
    return { parity, isReady };
  });
}

async function write(
  plan: BuildPlan,
  folder: string,
  { onBytes, signal }: BuildHooks,
): Promise<void> {
  await writeBuild(plan, folder, (bytes, file) => {
    if (signal.aborted) throw new AppError("CANCELED", "The build was interrupted.");
    onBytes(bytes, file);
  });
}

/** A folder for as long as it is used. */
async function makeScratch<Result>(
  folder: string,
  use: (folder: string) => Promise<Result>,
): Promise<Result> {
  try {
    await mkdir(folder);
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function draftModel(folder: string, id: string, precision: string): ModelInfo {
  const nothing = {
    description: "",
    revision: "draft",
    tasks: [],
    aliases: [],
    defaults: {},
    fault: null,
    isDefault: true,
  };
  return { ...nothing, id, precision, folder, stamp: folder };
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

async function requireSpace(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize >= bytes) return;
  const inMb = (count: number) => `${Math.ceil(count / 1e6)} MB`;
  throw new AppError(
    "INVALID",
    `The build needs ${inMb(bytes)}; ${path.dirname(folder)} has room for ${inMb(bavail * bsize)}.`,
    {
      fix: "Free some space there, or choose another --out.",
    },
  );
}

function notReady({ reference, tokenAgreement, agreementMin, exactAnswers }: Parity): AppError {
  const least = `at least ${percent(agreementMin)} must`;
  const figures = `${percent(tokenAgreement)} of the tokens agree with ${reference} (${least}), ${percent(exactAnswers)} of the answers are the same`;
  return new AppError("MODEL_FAILED", `The model was built, but it is not ready: ${figures}.`, {
    fix: "Choose another --precision, or one for each graph; --keep-unready keeps it for `vedere models compare`; --agreement-min moves the bound.",
  });
}
