import sharp from "sharp";
import { AppError } from "../../core/errors.ts";
import type { Size } from "../../schema/geometry.ts";
import { type Agreement, agreementOf } from "../compare/agreement.ts";
import { askAbout, type Interview, type Observation, type Party } from "../compare/observe.ts";

/**
 * What rounding leaves of a difference between one image alone and the same in a batch, in float32.
 */
const featureErrorMax = 1e-4;
const agreementMin = 0.999;

/**
 * Compares a float32 model with itself: pictures and questions one by one, and all in one batch.
 * Throws AppError MODEL_FAILED where that makes a difference, or where numbers come out that are
 * none.
 */
export async function checkBatches(
  party: Party,
  interview: Interview,
  signal?: AbortSignal,
): Promise<Agreement> {
  const pictures = await Promise.all([
    noise({ width: 160, height: 120 }, 1),
    noise({ width: 90, height: 140 }, 2),
  ]);
  const run = { ...interview, signal };
  const alone: Observation[] = [];
  for (const picture of pictures) {
    const [sight] = sound(await party.engine.see(party.model, [picture], signal));
    if (!sight) continue;
    const answers = [];
    for (const question of interview.questions)
      answers.push(...(await askAbout(party, [sight], { ...run, questions: [question] })).flat());
    alone.push({ features: sight.features, answers, seeMs: 0, answerMs: 0 });
  }
  const sights = sound(await party.engine.see(party.model, pictures, signal));
  const answers = await askAbout(party, sights, run);
  const together = sights.map(({ features }, i) => ({
    features,
    answers: answers[i] ?? [],
    seeMs: 0,
    answerMs: 0,
  }));
  const agreement = agreementOf(alone, together);
  if ((agreement.featureError ?? 1) <= featureErrorMax && agreement.tokenAgreement >= agreementMin)
    return agreement;
  const figures = `image features differ by ${agreement.featureError}, ${agreement.tokenAgreement} of the tokens agree`;
  throw new AppError(
    "MODEL_FAILED",
    `The model ${party.model} does not answer in a batch as it does alone: ${figures}.`,
  );
}

function sound<Sight>(seen: readonly (Sight | Error)[]): Sight[] {
  return seen.map((sight) => {
    if (sight instanceof Error) throw sight;
    return sight;
  });
}

/**
 * A picture of random colours, the same for the same seed (the linear congruential generator of
 * Numerical Recipes).
 */
function noise({ width, height }: Size, seed: number): Promise<Buffer> {
  let state = seed;
  const rgb = Buffer.from(
    Array.from({ length: 3 * width * height }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state >>> 24;
    }),
  );
  return sharp(rgb, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}
