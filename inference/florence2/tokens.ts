import { Tokenizer } from "@huggingface/tokenizers";
import type { AnswerToken } from "../../schema/answer.ts";
import { readJson, unusable } from "./model-config.ts";

/** Text to ids and back. */
export interface Tokens {
  readonly bos: number;
  readonly pad: number;
  readonly eos: number;
  /** Ids are 0 to count - 1. */
  readonly count: number;
  /** The ids of `<s>` prompt `</s>`. */
  encode(prompt: string): number[];
  /**
   * The texts of an answer's tokens, `<s>`, `</s>` and `<pad>` left out: joined, exactly the
   * answer's text. A character that is split over several tokens stands whole at the token that
   * completes it.
   */
  decode(ids: readonly number[], logProbabilities: readonly number[]): AnswerToken[];
}

/** Opens the tokenizer.json of a model folder. Throws AppError MODEL_UNAVAILABLE. */
export async function openTokens(folder: string): Promise<Tokens> {
  const file = "tokenizer.json";
  const json = await readJson(folder, file);
  const { decoder } = json;
  const isByteLevel =
    typeof decoder === "object" &&
    decoder !== null &&
    "type" in decoder &&
    decoder.type === "ByteLevel";
  if (!isByteLevel) throw unusable(file, "is not one of byte-level BPE, which Florence-2 uses");
  let tokenizer: Tokenizer;
  try {
    tokenizer = new Tokenizer(json, {});
  } catch (cause) {
    throw unusable(file, "is no tokenizer", cause);
  }
  const idOf = (token: string) => {
    const id = tokenizer.token_to_id(token);
    if (id === undefined) throw unusable(file, `has no token ${token}`);
    return id;
  };
  const [bos, pad, eos] = [idOf("<s>"), idOf("<pad>"), idOf("</s>")];
  const pieceOf = pieces(tokenizer);
  return {
    bos,
    pad,
    eos,
    count: tokenizer.get_vocab(true).size,
    encode: (prompt) => tokenizer.encode(prompt).ids,
    decode(ids, logProbabilities) {
      const spoken = [...ids.keys()].filter((i) => ![bos, pad, eos].includes(ids[i] ?? pad));
      const texts = textsOf(spoken.map((i) => pieceOf(ids[i] ?? pad)));
      return spoken.map((i, k) => ({
        text: texts[k] ?? "",
        logProbability: logProbabilities[i] ?? 0,
      }));
    },
  };
}

/**
 * A token as text (added tokens such as `<loc_0>` and `<sep>`) or as bytes, not always whole
 * characters (all others).
 */
function pieces(tokenizer: Tokenizer): (id: number) => string | Uint8Array {
  const added = tokenizer.get_added_tokens_decoder();
  return (id) =>
    added.get(id)?.content ??
    Uint8Array.from(
      [...(tokenizer.id_to_token(id) ?? "")].flatMap((letter) => byteOf.get(letter) ?? []),
    );
}

function textsOf(tokens: readonly (string | Uint8Array)[]): string[] {
  const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
  const texts: string[] = [];
  const endCharacter = () => {
    const cutOff = utf8.decode(); // U+FFFD where a character was never completed
    if (cutOff) texts.push((texts.pop() ?? "") + cutOff);
  };
  for (const token of tokens) {
    if (typeof token === "string") {
      endCharacter();
      texts.push(token);
    } else {
      texts.push(utf8.decode(token, { stream: true }));
    }
  }
  endCharacter();
  return texts;
}

/**
 * Byte-level BPE writes each byte as a letter: printable Latin-1 as itself, the 68 others as U+0100
 * onwards in order.
 */
const byteOf: ReadonlyMap<string, number> = (() => {
  const letters = new Map<string, number>();
  let spare = 0x100;
  for (let byte = 0; byte < 256; byte += 1) {
    const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    letters.set(String.fromCodePoint(printable ? byte : spare++), byte);
  }
  return letters;
})();
