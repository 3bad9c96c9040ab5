import { AppError } from "../../core/errors.ts";
import type { EngineAnswer, Sight, SightPrompt } from "../../core/ports.ts";
import type { SearchRules } from "./beam.ts";
import { chunks } from "./chunks.ts";
import { encoderOutputs } from "./decoder.ts";
import { encodeQuestions, type Question } from "./encoding.ts";
import { generate, type Pace, throwIfCanceled } from "./generate.ts";
import type { LoadedModel } from "./loaded-model.ts";
import { searchOptions } from "./search-options.ts";

/**
 * Rows (beams of all prompts) of one run of the decoder: in fp32 the large model's caches of what
 * was seen take 57 MB for each.
 */
const rowsMax = 24;

interface Asked {
  /** Of the prompts. */
  readonly place: number;
  readonly question: Question;
  readonly rules: SearchRules;
}

/**
 * Answers prompts about seen images, as many in one batch as the model allows; those of a batch
 * have the same number of beams.
 */
export async function answer(
  model: LoadedModel,
  prompts: readonly SightPrompt[],
  pace: Pace = {},
): Promise<EngineAnswer[]> {
  const asked = prompts.map(
    ({ sight, prompt, locationGroup, options }, place): Asked => ({
      place,
      question: { features: sight.features, ids: encodePrompt(model, sight, prompt) },
      rules: { ...searchOptions(options, model.info.defaults, model.config), locationGroup },
    }),
  );
  const answers = new Map<number, EngineAnswer>();
  for (const beams of new Set(asked.map(({ rules }) => rules.beams))) {
    const alike = asked.filter(({ rules }) => rules.beams === beams);
    for (const batch of chunks(alike, () => beams, model.batches ? rowsMax : 1)) {
      throwIfCanceled(pace.signal);
      const given = await answerBatch(model, batch, pace);
      for (const [i, { place }] of batch.entries()) if (given[i]) answers.set(place, given[i]);
    }
  }
  return prompts.flatMap((_, place) => answers.get(place) ?? []);
}

async function answerBatch(
  model: LoadedModel,
  asked: readonly Asked[],
  pace: Pace,
): Promise<EngineAnswer[]> {
  const started = performance.now();
  const { config, graphs, special, tokens } = model;
  const questions = asked.map(({ question }) => question);
  const encoding = await encodeQuestions(graphs, questions, {
    width: config.width,
    tokens,
    outputs: encoderOutputs(graphs, config),
  });
  const encodeMs = performance.now() - started;
  const rules = asked.map((one) => one.rules);
  const found = await generate(graphs, encoding, { rules, special, model: config, ...pace });
  return found.map(({ ids, logProbabilities, finish, generateMs }, i) => {
    const spoken = tokens.decode(ids, logProbabilities);
    return {
      text: spoken.map((token) => token.text).join(""),
      tokens: spoken,
      finish,
      beams: rules[i]?.beams ?? 1,
      timings: { encodeMs, generateMs, tokens: spoken.length },
      model: model.provenance,
    };
  });
}

function encodePrompt(model: LoadedModel, sight: Sight, prompt: string): number[] {
  const ids = model.tokens.encode(prompt);
  const room = model.config.positionsMax - sight.features.length / model.config.width;
  if (ids.length <= room) return ids;
  throw new AppError(
    "INVALID",
    `The prompt has ${ids.length} tokens; the model takes ${room} beside the image.`,
    {
      fix: "Shorten the text.",
    },
  );
}
