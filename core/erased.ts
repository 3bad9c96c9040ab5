/** How many of each were deleted. */
export interface Erased {
  readonly runs: number;
  readonly images: number;
  readonly deliveries: number;
  readonly charges: number;
  readonly deadLetters: number;
  readonly uploads: number;
  readonly endpoints: number;
  readonly apiKeys: number;
}

export const nothingErased: Erased = {
  runs: 0,
  images: 0,
  deliveries: 0,
  charges: 0,
  deadLetters: 0,
  uploads: 0,
  endpoints: 0,
  apiKeys: 0,
};

export function addErased(a: Erased, b: Erased): Erased {
  return {
    runs: a.runs + b.runs,
    images: a.images + b.images,
    deliveries: a.deliveries + b.deliveries,
    charges: a.charges + b.charges,
    deadLetters: a.deadLetters + b.deadLetters,
    uploads: a.uploads + b.uploads,
    endpoints: a.endpoints + b.endpoints,
    apiKeys: a.apiKeys + b.apiKeys,
  };
}

export function isNothing(erased: Erased): boolean {
  return Object.values(erased).every((count) => count === 0);
}
