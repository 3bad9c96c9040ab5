/** Whether `vedere start` runs this process and watches over it. */
export function hasParent(): boolean {
  return process.send !== undefined;
}

/** Sends to `vedere start`. A parent that is gone is no fault: `onOrphaned` reports it. */
export function tellParent(message: unknown): void {
  if (!process.connected) return;
  process.send?.(message, undefined, {}, () => {}); // without a callback, an error here would end the process
}

/** Runs `end` once `vedere start` is gone: nobody would stop this process any more. */
export function onOrphaned(end: () => void): void {
  if (!hasParent()) return;
  if (process.connected) process.once("disconnect", end);
  else end();
}

/** Closes the channel to `vedere start`: while it is open, it keeps this process alive. */
export function leaveParent(): void {
  if (process.connected) process.disconnect();
}
