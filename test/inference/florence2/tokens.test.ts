import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { openTokens, type Tokens } from "../../../inference/florence2/tokens.ts";
import { nanoFolder } from "./fixtures.ts";

let tokens: Tokens;
beforeAll(async () => {
  tokens = await openTokens(nanoFolder);
});
const textsOf = (ids: number[]) =>
  tokens
    .decode(
      ids,
      ids.map(() => -1),
    )
    .map((token) => token.text);

describe("tokens", () => {
  test("a prompt stands between <s> and </s>, its locations one token each", () => {
    const ids = tokens.encode("What is the region <loc_0><loc_1><loc_998><loc_999>?");
    expect([ids[0], ids.at(-1)]).toEqual([tokens.bos, tokens.eos]);
    expect(textsOf(ids)).toEqual(
      expect.arrayContaining(["<loc_0>", "<loc_1>", "<loc_998>", "<loc_999>"]),
    );
  });

  test.each([
    "Locate cat in the image.",
    "two  spaces , odd spacing .  kept",
    "<poly><loc_1><loc_2><sep><loc_3></poly>cat <and> dog",
    "__proto__ constructor toString hasOwnProperty",
    "naïve 日本語 👩‍🚀 e\u0301 \ufeff end",
  ])("the texts of tokens, joined, are the text: %s", (text) => {
    expect(textsOf(tokens.encode(text)).join("")).toBe(text);
  });

  test("a character that is split over tokens stands whole at the last of them", () => {
    const texts = textsOf(tokens.encode("日<loc_7>日"));
    expect(texts).toHaveLength(7); // three bytes each
    expect(texts).toEqual(["", "", "日", "<loc_7>", "", "", "日"]);
  });

  test("a character that is never completed is one replacement character, at its last token", () => {
    const [, first = 0, second = 0] = tokens.encode("日");
    const [, letter = 0] = tokens.encode("a");
    expect(textsOf([first, second])).toEqual(["", "\ufffd"]);
    const location = tokens.encode("<loc_5>")[1] ?? 0;
    expect(textsOf([first, location])).toEqual(["\ufffd", "<loc_5>"]);
    expect(textsOf([first, letter]).join("")).toBe("\ufffda");
  });

  test("<s>, </s> and <pad> are left out wherever they stand, and their log-probabilities with them", () => {
    const [, letter = 0] = tokens.encode("a");
    const ids = [tokens.bos, tokens.bos, letter, tokens.pad, letter, tokens.eos];
    expect(tokens.decode(ids, [-1, -2, -3, -4, -5, -6])).toEqual([
      { text: "a", logProbability: -3 },
      { text: "a", logProbability: -5 },
    ]);
  });

  test("a folder without a tokenizer is refused with the file's name", async () => {
    await expect(openTokens("/nowhere")).rejects.toMatchObject({
      code: "MODEL_UNAVAILABLE",
      message: expect.stringContaining("tokenizer.json"),
    });
  });

  test("a tokenizer of another kind is refused, not misread", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "vedere-tokens-"));
    await writeFile(
      path.join(folder, "tokenizer.json"),
      JSON.stringify({ model: { type: "WordPiece" }, decoder: { type: "WordPiece" } }),
    );
    await expect(openTokens(folder)).rejects.toMatchObject({
      code: "MODEL_UNAVAILABLE",
      message: expect.stringContaining("byte-level"),
    });
    await rm(folder, { recursive: true });
  });
});
