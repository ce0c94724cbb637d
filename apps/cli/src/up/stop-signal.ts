export interface StopSignal extends Disposable {
  /** Aborts at the first SIGINT, SIGTERM or SIGHUP. */
  signal: AbortSignal;
  /** Aborts it too, for a fault that ends the run: the reason is the error. */
  stop(reason: Error): void;
}

const impatientAfterMs = 2_000;

/**
 * Repeats are ignored, since a signal to the whole process group and one passed on by a wrapper are the same wish; one that
 * comes two seconds later is an impatient user's, and calls `force`.
 */
export function createStopSignal({ force }: { force: () => void }): StopSignal {
  const controller = new AbortController();
  let asked = 0;
  const onSignal = () => {
    const now = performance.now();
    if (asked === 0) asked = now;
    else if (now - asked > impatientAfterMs) force();
    controller.abort();
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const name of signals) process.on(name, onSignal);
  return {
    signal: controller.signal,
    stop: (reason) => controller.abort(reason),
    [Symbol.dispose]() {
      for (const name of signals) process.off(name, onSignal);
    },
  };
}
