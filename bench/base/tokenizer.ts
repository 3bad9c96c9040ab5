/** A tokenizer.json as far as it is changed here. */
interface TokenizerJson {
  readonly added_tokens: readonly { readonly id: number; readonly content: string }[];
  readonly model: { readonly vocab: Readonly<Record<string, number>> };
}

/**
 * The tokenizer of florence-2-nano with a vocabulary of `size`: the ids of its added tokens move up
 * together, as they lie in Florence-2's own (`<mask>` 50264, `<loc_0>` 50269, the last 51288), and
 * tokens that no text has fill the gap. It cuts prompts into more tokens than Florence-2's own.
 */
export function widenedTokenizer(json: string, size: number): string {
  const tokenizer = JSON.parse(json) as TokenizerJson;
  const last = Math.max(...tokenizer.added_tokens.map(({ id }) => id));
  const by = size - 1 - last;
  if (by <= 0) return json;
  const first = Math.min(...tokenizer.added_tokens.map(({ id }) => id).filter((id) => id > 3)); // after <s>, <pad>, </s>, <unk>
  const moved = (id: number) => (id >= first ? id + by : id);
  const vocab = Object.fromEntries([
    ...Object.entries(tokenizer.model.vocab).map(([token, id]) => [token, moved(id)] as const),
    ...Array.from({ length: by }, (_, i) => [`unused${first + i}`, first + i] as const),
  ]);
  return JSON.stringify({
    ...tokenizer,
    added_tokens: tokenizer.added_tokens.map((token) => ({ ...token, id: moved(token.id) })),
    model: { ...tokenizer.model, vocab },
  });
}
