import { readJson } from "../florence2/model-config.ts";
import type { Tokens } from "../florence2/tokens.ts";

/**
 * The generation_config.json that a built model gets: the checkpoint's, with the ids of special
 * tokens as the tokenizer has them, and a warning for each that was another (fine-tunes were seen
 * to save eos 1 and pad 0). The decoder starts with `</s>`, as all of Florence-2 was trained.
 */
export async function correctedGeneration(
  folder: string,
  tokens: Pick<Tokens, "bos" | "pad" | "eos">,
): Promise<{ json: Readonly<Record<string, unknown>>; warnings: string[] }> {
  const given = await readJson(folder, "generation_config.json", {});
  const right: Readonly<Record<string, number>> = {
    bos_token_id: tokens.bos,
    pad_token_id: tokens.pad,
    eos_token_id: tokens.eos,
    decoder_start_token_id: tokens.eos,
    forced_bos_token_id: tokens.bos,
    forced_eos_token_id: tokens.eos,
  };
  const wrong = Object.keys(right).filter((key) => given[key] != null && given[key] !== right[key]);
  const warnings = wrong.map(
    (key) =>
      `generation_config.json has ${key} ${JSON.stringify(given[key])}; the tokenizer says ${right[key]}, which is used.`,
  );
  return { json: { ...given, ...right }, warnings };
}
