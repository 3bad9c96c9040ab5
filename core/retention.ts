/** How many of each were deleted. */
export interface Erased {
  readonly runs: number;
  readonly images: number;
  readonly deliveries: number;
  readonly charges: number;
  readonly deadLetters: number;
  readonly uploads: number;
}

export const nothingErased: Erased = {
  runs: 0,
  images: 0,
  deliveries: 0,
  charges: 0,
  deadLetters: 0,
  uploads: 0,
};

/** Deletes what is old, in steps: none holds the store for more than a few milliseconds, and all of them may be repeated. */
export interface Retention {
  /**
   * Deletes some of what a tenant's finished before an instant: runs with all that belongs to them, images that no run has any more,
   * deliveries, charges (their sums stay) and dead letters. Nothing erased: there is nothing left.
   */
  expire(tenantId: string, before: number): Promise<Erased>;
  /** Deletes some of what nobody needs, whatever is to be kept: images that no run has taken and uploads, a day later. */
  tidy(): Promise<Erased>;
}

export function addErased(a: Erased, b: Erased): Erased {
  return {
    runs: a.runs + b.runs,
    images: a.images + b.images,
    deliveries: a.deliveries + b.deliveries,
    charges: a.charges + b.charges,
    deadLetters: a.deadLetters + b.deadLetters,
    uploads: a.uploads + b.uploads,
  };
}

export function isNothing(erased: Erased): boolean {
  return Object.values(erased).every((count) => count === 0);
}

export const dayMs = 86_400_000;
