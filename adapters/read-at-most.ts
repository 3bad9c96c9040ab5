/**
 * Reads something, and for `everyMs` gives the same again to whoever does not ask for it fresh.
 * What failed is read again at once.
 */
export function readAtMost<Value>(
  everyMs: number,
  read: () => Promise<Value>,
): (isFresh: boolean) => Promise<Value> {
  let last: { at: number; value: Promise<Value> } | null = null;
  return (isFresh) => {
    const now = performance.now();
    if (last && !isFresh && now - last.at < everyMs) return last.value;
    const value = read();
    last = { at: now, value };
    value.catch(() => {
      last = null;
    });
    return value;
  };
}
