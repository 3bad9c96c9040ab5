/** What one request takes of a batch. */
export interface Extent {
  readonly tenant: string;
  readonly items: number;
  readonly rows: number;
}

/**
 * Which of the waiting requests, oldest first, make the next batch, by their places: one in any
 * case, then as many as there is room for. Each is the oldest one of the tenant with the fewest
 * rows, at work and in this batch, as long as the tenant stays within `shareRows`.
 */
export function chooseBatch(
  waiting: readonly Extent[],
  bounds: {
    readonly room: { readonly items: number; readonly rows: number };
    /** What a tenant may have at work. */
    readonly shareRows: number;
    /** What a tenant has at work. */
    rowsOf(tenant: string): number;
  },
): number[] {
  const { room, shareRows } = bounds;
  const oldestFirst = new Map<string, number[]>(); // the places of each tenant's requests
  for (const [place, { tenant }] of waiting.entries())
    oldestFirst.set(tenant, [...(oldestFirst.get(tenant) ?? []), place]);
  const queues = [...oldestFirst].map(([tenant, places]) => ({
    places,
    rows: bounds.rowsOf(tenant),
  }));
  const chosen: number[] = [];
  const left = { ...room };
  for (;;) {
    const candidates = queues.flatMap((queue) => {
      const place = queue.places[0];
      const extent = place === undefined ? undefined : waiting[place];
      if (place === undefined || !extent) return [];
      return chosen.length === 0 || queue.rows + extent.rows <= shareRows
        ? [{ queue, place, extent }]
        : [];
    });
    const [next] = candidates.sort((a, b) => a.queue.rows - b.queue.rows || a.place - b.place);
    if (
      !next ||
      (chosen.length > 0 && (next.extent.items > left.items || next.extent.rows > left.rows))
    )
      return chosen;
    chosen.push(next.place);
    next.queue.places.shift();
    next.queue.rows += next.extent.rows;
    left.items -= next.extent.items;
    left.rows -= next.extent.rows;
  }
}

/** Counts of something, by tenant. */
export interface Tally {
  /** The returned function takes it away again. */
  add(tenant: string): () => void;
  of(tenant: string): number;
  /** How many tenants have any; one where nobody has. */
  tenants(): number;
}

export function openTally(): Tally {
  const counts = new Map<string, number>();
  const change = (tenant: string, by: number) => {
    const count = (counts.get(tenant) ?? 0) + by;
    if (count === 0) counts.delete(tenant);
    else counts.set(tenant, count);
  };
  return {
    add(tenant) {
      change(tenant, 1);
      return () => change(tenant, -1);
    },
    of: (tenant) => counts.get(tenant) ?? 0,
    tenants: () => Math.max(1, counts.size),
  };
}
