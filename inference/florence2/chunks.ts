/**
 * Cuts a list into stretches whose costs add up to at most `costMax`, or that hold one item only.
 */
export function chunks<Item>(
  items: readonly Item[],
  cost: (item: Item) => number,
  costMax: number,
): Item[][] {
  const all: Item[][] = [];
  let room = 0;
  for (const item of items) {
    room -= cost(item);
    if (room < 0 || all.length === 0) {
      all.push([]);
      room = costMax - cost(item);
    }
    all.at(-1)?.push(item);
  }
  return all;
}
