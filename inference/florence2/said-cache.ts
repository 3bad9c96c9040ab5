import type { Value } from "./values.ts";

/**
 * The keys and values of what a batch has said so far, in buffers of ours: each step appends to
 * them, and the graph reads a view of them. Which token of the search each row holds at each
 * position is remembered, so that a new order of the rows moves only what differs.
 */
export interface SaidCache {
  /** Tokens of each row. */
  readonly length: number;
  /**
   * `past_key_values.${name}`: [length + 1, rows · heads, width / heads], slot 0 a dummy of zeros.
   * Good until the next change.
   */
  past(): Record<string, Value>;
  /** One more token of each row: `present.${name}` [rows, width]. */
  append(present: Readonly<Record<string, Value>>): void;
  /**
   * Each row goes on from row `parents[row]` of the same question. What goes on from a row is left
   * on it where it can be: the rows on which everything now stands are returned, and those of a
   * question are its rows as before.
   */
  reorder(parents: readonly number[]): number[];
  /**
   * Row i, of perhaps another number of rows, goes on from row `parents[i]`: everything is copied,
   * and stands on its own row.
   */
  rebuild(parents: readonly number[]): number[];
}

/** Makes empty caches for a number of rows. */
export function openSaidCache(
  names: readonly string[],
  shape: { rows: number; heads: number; width: number; element: "float32" | "float16" },
): SaidCache {
  const { heads, width, element } = shape;
  const rowBytes = width * (element === "float16" ? 2 : 4);
  let { rows } = shape;
  let capacity = 32; // slots
  const held = new Map(names.map((name) => [name, new Uint8Array(capacity * rows * rowBytes)]));
  /**
   * For each position: what each row holds. Rows that hold the same there have all before it in
   * common.
   */
  const tokens: (readonly number[])[] = [];
  let appended = 0;

  function grow(): void {
    capacity *= 2;
    for (const [name, bytes] of held) {
      const larger = new Uint8Array(capacity * rows * rowBytes);
      larger.set(bytes);
      held.set(name, larger);
    }
  }

  function append(present: Readonly<Record<string, Value>>): void {
    const slot = tokens.length + 1;
    if (slot === capacity) grow();
    for (const [name, bytes] of held) {
      const data = present[`present.${name}`]?.data;
      if (data?.byteLength !== rows * rowBytes)
        throw new TypeError(`The new keys or values ${name} have another size than the cache.`);
      bytes.set(
        new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
        slot * rows * rowBytes,
      );
    }
    tokens.push(Array.from({ length: rows }, () => appended++));
  }

  function past(): Record<string, Value> {
    const slots = tokens.length + 1;
    const dims = [slots, rows * heads, width / heads];
    const count = slots * rows * width;
    const view = ({ buffer }: Uint8Array) =>
      element === "float16"
        ? new Uint16Array(buffer, 0, count)
        : new Float32Array(buffer, 0, count);
    return Object.fromEntries(
      Array.from(held, ([name, bytes]) => [`past_key_values.${name}`, { data: view(bytes), dims }]),
    );
  }

  /**
   * A row is only ever overwritten by one that stays: the sources of `settle` lead to themselves.
   */
  function reorder(parents: readonly number[]): number[] {
    const places = settle(parents);
    const sources = [...parents];
    for (const [i, place] of places.entries()) sources[place] = parents[i] ?? 0;
    for (let position = tokens.length - 1; position >= 0; position -= 1) {
      const present = tokens[position] ?? [];
      const changed = sources.flatMap((source, row) =>
        present[source] === present[row] ? [] : [{ source, row }],
      );
      if (changed.length === 0) break; // all that came before is the same as well
      const start = (position + 1) * rows * rowBytes;
      for (const bytes of held.values()) {
        for (const { source, row } of changed) {
          bytes.copyWithin(
            start + row * rowBytes,
            start + source * rowBytes,
            start + (source + 1) * rowBytes,
          );
        }
      }
      tokens[position] = sources.map((source) => present[source] ?? 0);
    }
    return places;
  }

  function rebuild(parents: readonly number[]): number[] {
    for (const [name, bytes] of held) {
      const other = new Uint8Array(capacity * parents.length * rowBytes);
      for (let slot = 1; slot <= tokens.length; slot += 1) {
        for (const [row, parent] of parents.entries()) {
          const from = (slot * rows + parent) * rowBytes;
          other.set(
            bytes.subarray(from, from + rowBytes),
            (slot * parents.length + row) * rowBytes,
          );
        }
      }
      held.set(name, other);
    }
    for (const [position, present] of tokens.entries())
      tokens[position] = parents.map((parent) => present[parent] ?? 0);
    rows = parents.length;
    return [...parents.keys()];
  }

  return {
    get length() {
      return tokens.length;
    },
    past,
    append,
    reorder,
    rebuild,
  };
}

/**
 * A row for each: the first that goes on from a row stays on it; the others take the rows that
 * nothing goes on from, in order.
 */
function settle(parents: readonly number[]): number[] {
  const taken = new Set<number>();
  const places = parents.map((parent) => {
    if (taken.has(parent)) return null;
    taken.add(parent);
    return parent;
  });
  const free = [...parents.keys()].filter((row) => !taken.has(row));
  return places.map((place) => place ?? free.shift() ?? 0);
}
