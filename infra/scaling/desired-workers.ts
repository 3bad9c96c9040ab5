/** What is known of the fleet at a moment. */
export interface FleetState {
  /** Messages that wait. */
  readonly visible: number;
  /** Messages that workers hold. */
  readonly inFlight: number;
  /** Workers that there are, those that are starting included. */
  readonly running: number;
  /**
   * Since when fewer workers were needed than there are, in milliseconds since 1970; null while all
   * are needed.
   */
  readonly idleSince: number | null;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** What the fleet is to be like. */
export interface ScalingPolicy {
  readonly min: number;
  readonly max: number;
  readonly runsPerWorkerPerMinute: number;
  /** Runs that one worker has in progress. */
  readonly runsAtOnce: number;
  /** In how long a backlog is to be worked off. */
  readonly targetDrainSeconds: number;
  /** How long an idle fleet waits for more work. */
  readonly idleGraceSeconds: number;
}

/**
 * How many workers the work of this moment needs: for what waits, as many as do it within the
 * target; for what is in progress, as many as hold it.
 */
export function neededWorkers(
  { visible, inFlight }: Pick<FleetState, "visible" | "inFlight">,
  policy: ScalingPolicy,
): number {
  const { min, max, runsPerWorkerPerMinute, runsAtOnce, targetDrainSeconds } = policy;
  const perWorker = (runsPerWorkerPerMinute * targetDrainSeconds) / 60;
  return Math.min(
    max,
    Math.max(min, Math.ceil(visible / perWorker), Math.ceil(inFlight / runsAtOnce)),
  );
}

/**
 * How many workers there should be. The fleet grows at once to what is needed. It shrinks to what
 * is needed only after fewer were needed, without a break, for the grace: under steady or noisy
 * load it does not swing. Whom ECS takes away then is idle: tasks that hold runs protect
 * themselves.
 */
export function desiredWorkers(
  { running, idleSince, now, ...work }: FleetState,
  policy: ScalingPolicy,
): number {
  const needed = neededWorkers(work, policy);
  const isOver = idleSince !== null && now - idleSince >= policy.idleGraceSeconds * 1_000;
  return needed >= running || isOver ? needed : Math.min(running, policy.max);
}
