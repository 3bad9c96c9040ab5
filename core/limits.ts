/**
 * Every bound of the service in one place; the SDL's descriptions and the README say the same
 * numbers.
 */
export const limits = {
  image: {
    bytesMax: 20_000_000,
    base64BytesMax: 5_000_000,
    pixelsMax: 50_000_000,
    sideMax: 16_384,
    /** What decoding one image holds at once: 4 bytes for each of 50 million pixels. */
    decodedBytesMax: 200_000_000,
    /** Of a progressive JPEG; photographs have about ten. */
    scansMax: 100,
  },
  run: {
    tasksMax: 16,
    perRequestMax: 100,
    waitMsMax: 60_000,
    expiresInSecondsMax: 86_400,
    metadataBytesMax: 8_192,
    /** Objects and lists within one another. */
    metadataDepthMax: 32,
    /**
     * How long a run that keeps nothing stays once it was read: an answer that was lost can be
     * asked for again.
     */
    readKeptMs: 60_000,
    /** How long it stays after its end if nobody reads it. */
    unreadKeptMs: 86_400_000,
    idempotencyKeyMax: 255,
  },
  upload: { filesMax: 100, lifetimeMs: 3_600_000 },
  /**
   * Of a page: how long a sign-in link and a session live, and how many sessions a key has at once.
   */
  session: {
    tokenMs: 15 * 60_000,
    lifetimeMs: 12 * 3_600_000,
    perKeyMax: 100,
    bodyBytesMax: 4_096,
  },
  page: { firstMax: 100 },
  /** Of a tenant's or a key's name, and how long a rerolled key may live on. */
  key: { nameMax: 200, graceMsMax: 30 * 86_400_000 },
  /**
   * Subscriptions and long polls that one key may have open at one gateway process; more are
   * refused with RATE_LIMITED.
   */
  openWaitsPerKey: 100,
  /** A tenant's runs that have not finished; more are refused with QUEUE_FULL. */
  unfinishedRunsMax: 10_000,
  /**
   * What a token bucket holds, in units of work, unless a setting or a tenant's limit says
   * otherwise.
   */
  burstUnits: 20_000,
  request: {
    bodyBytesMax: 8_000_000,
    documentBytesMax: 65_536,
    tokensMax: 2_000,
    depthMax: 12,
    aliasesMax: 30,
    directivesMax: 20,
    rootFieldsMax: 5,
    errorsMax: 5,
    /** Objects and lists within one another in an argument that is not metadata. */
    valueDepthMax: 32,
    /** Characters of an id that is asked for; ours are shorter. */
    idMax: 255,
    /** Of an operation, by the `@cost` of its fields: some rows that the store reads. */
    costMax: 2_500,
  },
  fetch: { totalMs: 10_000, idleMs: 2_000, redirectsMax: 3 },
  /**
   * A tenant's endpoints; characters of a payload query; bytes of a payload, beyond which the thin
   * one takes its place; how long a receiver may take; how much of its answer is kept; how long a
   * former secret may live on; deliveries that are recovered at once.
   */
  webhook: {
    endpointsMax: 20,
    urlMax: 2_048,
    descriptionMax: 200,
    payloadQueryMax: 4_096,
    payloadBytesMax: 262_144,
    timeoutMs: 15_000,
    excerptBytes: 1_000,
    overlapMsMax: 7 * 86_400_000,
    recoverMax: 1_000,
  },
  /**
   * A worker holds a run for `leaseMs` and renews at a third of it; after `attemptsMax` attempts
   * that never ended the run is given up.
   */
  lease: { leaseMs: 30_000, attemptsMax: 3 },
} as const;
