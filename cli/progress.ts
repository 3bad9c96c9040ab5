import { SingleBar } from "cli-progress";

/** A progress bar on stderr, shown on terminals only; what is printed meanwhile stands above it. */
export interface Progress {
  /** Shows the bar; with a total of 1 or less there is nothing to show. */
  begin(total: number): void;
  /** Sets what is done, and what is being worked on. */
  update(done: number, item: string): void;
  /** Writes around the bar, which stands below again afterwards. */
  around(write: () => void): void;
  stop(): void;
}

/** Makes a bar; `show` writes its numbers with their unit. */
export function openProgress(show: (amount: number) => string): Progress {
  const bar = new SingleBar({
    format: "{bar} {percentage}%  {value} of {total}  {item}",
    clearOnComplete: true,
    gracefulExit: false, // Ctrl-C is not the bar's to answer; it leaves the terminal as it found it even when it is killed
    linewrap: true,
    formatValue: (value, _options, type) =>
      type === "value" || type === "total" ? show(value) : String(value),
  });
  const state = { total: 0, done: 0, item: "" };
  const draw = () => {
    if (state.total > 1) bar.start(state.total, state.done, { item: state.item });
  };
  return {
    begin(total) {
      state.total = total;
      draw();
    },
    update(done, item) {
      Object.assign(state, { done, item });
      bar.update(done, { item });
    },
    around(write) {
      bar.stop();
      write();
      draw();
    },
    stop: () => bar.stop(),
  };
}
