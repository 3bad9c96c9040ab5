/** What is known of the fleet at a moment. */
export interface FleetState {
  /** Messages that wait. */
  readonly visible: number;
  /** Messages that workers hold. */
  readonly inFlight: number;
  /** Workers that there are, those that are starting included. */
  readonly running: number;
  /** Since when there has been nothing to do, in milliseconds since 1970; null while there is something. */
  readonly idleSince: number | null;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** What the fleet is to be like. */
export interface ScalingPolicy {
  readonly min: number;
  readonly max: number;
  readonly runsPerWorkerPerMinute: number;
  /** In how long a backlog is to be worked off. */
  readonly targetDrainSeconds: number;
  /** How long an idle fleet waits for more work. */
  readonly idleGraceSeconds: number;
}

/**
 * How many workers there should be. A backlog gets as many as work it off within the target, and at least one. The fleet shrinks only once it has
 * been idle for the grace: while anything is in progress nobody is taken away, so a fleet under steady load does not swing, and a worker is never
 * stopped in the middle of a run for the sake of scaling.
 */
export function desiredWorkers({ visible, inFlight, running, idleSince, now }: FleetState, policy: ScalingPolicy): number {
  const { min, max, runsPerWorkerPerMinute, targetDrainSeconds, idleGraceSeconds } = policy;
  const bounded = (count: number) => Math.min(max, Math.max(min, count));
  if (visible + inFlight === 0) {
    const isOver = idleSince !== null && now - idleSince >= idleGraceSeconds * 1_000;
    return bounded(isOver ? 0 : running);
  }
  const perWorker = (runsPerWorkerPerMinute * targetDrainSeconds) / 60;
  return bounded(Math.max(1, running, Math.ceil((visible + inFlight) / perWorker)));
}
