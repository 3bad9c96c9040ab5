/**
 * A token of an answer in the making and, through `before`, all that came before it. Beams share
 * what they have in common.
 */
export interface Said {
  readonly token: number;
  /** As the answer tells it; 0 of the start token. */
  readonly logProbability: number;
  /** Null of the start token. */
  readonly before: Said | null;
  /** Tokens up to here, the start token included. */
  readonly length: number;
}

/** The start token, which the decoder is given and which is no part of the answer. */
export function startSaying(token: number): Said {
  return { token, logProbability: 0, before: null, length: 1 };
}

/** One more token. */
export function say(
  before: Said,
  next: { readonly token: number; readonly logProbability: number },
): Said {
  return {
    token: next.token,
    logProbability: next.logProbability,
    before,
    length: before.length + 1,
  };
}

/** All that was said, first to last, without the start token. */
export function answerOf(last: Said): { ids: number[]; logProbabilities: number[] } {
  const ids: number[] = [];
  const logProbabilities: number[] = [];
  for (let at = last; at.before; at = at.before) {
    ids.push(at.token);
    logProbabilities.push(at.logProbability);
  }
  return { ids: ids.reverse(), logProbabilities: logProbabilities.reverse() };
}

/**
 * The tokens that would repeat, after `last`, a run of `size` tokens (the start token is one of
 * them); none for size 0.
 */
export function repeatsOf(last: Said, size: number): number[] {
  const repeats: number[] = [];
  for (let follower: Said | null = size > 0 ? last : null; follower; follower = follower.before) {
    let [then, now]: (Said | null)[] = [follower.before, last];
    let matched = 0;
    for (; matched < size - 1 && then && then.token === now?.token; matched += 1)
      [then, now] = [then.before, now.before];
    if (matched === size - 1) repeats.push(follower.token);
  }
  return repeats;
}
