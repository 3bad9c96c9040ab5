import type { Config } from "../adapters/config.ts";
import type { ModelInfo } from "../core/ports.ts";
import { checkBatches } from "../inference/build/self-check.ts";
import { type Agreement, agreementOf } from "../inference/compare/agreement.ts";
import {
  interviewOptions,
  type Observation,
  observe,
  type Party,
  type Picture,
} from "../inference/compare/observe.ts";
import { commonQuestions } from "../inference/compare/questions.ts";
import { engineFor } from "./model-at.ts";

/** How a build was tried, as its vedere.json tells it. */
export interface Parity extends Agreement {
  /** What it was compared with. */
  readonly reference: string;
  /** The least tokenAgreement of a model that is ready. */
  readonly agreementMin: number;
}

export interface Proof {
  readonly pictures: readonly Picture[];
  /** What the model must agree with; null: the same weights in float32. */
  readonly reference: ModelInfo | null;
  /** Null: 0.999 in float32, else 0.98. */
  readonly agreementMin: number | null;
}

export interface ProofHooks {
  readonly config: Pick<Config, "executionProviders" | "threads">;
  /** Hears how many pictures are to be seen, then of each. */
  readonly onPictures: (count: number) => void;
  readonly onPicture: () => void;
  readonly signal: AbortSignal;
}

const questions = commonQuestions();

/**
 * Compares a built model with its reference, one after the other, so that no more than one is in
 * memory. `exact` are the same weights in float32: the model itself where that is its precision,
 * null where the reference is another. It must answer in batches as it does alone, and where there
 * is no other reference this is what is compared. Throws AppError: MODEL_FAILED, of the pictures,
 * CANCELED.
 */
export async function proveModel(
  built: ModelInfo,
  exact: ModelInfo | null,
  proof: Proof,
  hooks: ProofHooks,
): Promise<Parity> {
  const isExact = exact === built;
  const agreementMin = proof.agreementMin ?? (isExact ? 0.999 : 0.98);
  const brief = { questions, options: { ...interviewOptions, maxTokens: 32 } };
  const itself =
    exact && (await withModel(exact, hooks, (party) => checkBatches(party, brief, hooks.signal)));
  const reference = proof.reference ?? exact ?? built;
  if (reference === built && itself)
    return rounded({ reference: "itself, without batches", agreementMin, ...itself });
  hooks.onPictures(2 * proof.pictures.length);
  const [wanted, given] = [
    await hear(reference, proof.pictures, hooks),
    await hear(built, proof.pictures, hooks),
  ];
  const name =
    reference === exact
      ? "the same weights in fp32"
      : `${reference.id}@${reference.revision} in ${reference.precision}`;
  return rounded({ reference: name, agreementMin, ...agreementOf(wanted, given) });
}

function hear(
  model: ModelInfo,
  pictures: readonly Picture[],
  hooks: ProofHooks,
): Promise<Observation[]> {
  return withModel(model, hooks, async (party) => {
    const observations: Observation[] = [];
    for (const picture of pictures) {
      observations.push(
        await observe(party, picture, {
          questions,
          options: interviewOptions,
          signal: hooks.signal,
        }),
      );
      hooks.onPicture();
    }
    return observations;
  });
}

async function withModel<Result>(
  model: ModelInfo,
  { config }: ProofHooks,
  use: (party: Party) => Promise<Result>,
): Promise<Result> {
  const engine = engineFor(model, config);
  try {
    return await use({ engine, model: model.id });
  } finally {
    await engine.close();
  }
}

/** Six digits are more than enough for a file that people read. */
function rounded(parity: Parity): Parity {
  const entries = Object.entries(parity).map(([name, value]) => [
    name,
    typeof value === "number" ? Number(value.toPrecision(6)) : value,
  ]);
  return Object.fromEntries(entries);
}
