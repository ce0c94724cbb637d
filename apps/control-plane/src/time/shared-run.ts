import { setImmediate } from 'node:timers/promises';

/** Runs `work` for all who ask: whoever asks while it runs shares the next run, which begins after the asking. */
export function createSharedRun<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | null = null;
  let next: Promise<T> | null = null;

  function run(): Promise<T> {
    if (running === null) {
      running = work().finally(() => {
        running = null;
      });
      return running;
    }
    next ??= running
      .catch(() => {})
      .then(() => {
        next = null;
        return run();
      });
    return next;
  }
  return run;
}

/** Runs `work` once for all who ask in one turn of the event loop: it begins after the last of them asked. */
export function createTurnRun<T>(work: () => Promise<T>): () => Promise<T> {
  let next: Promise<T> | null = null;
  return () => {
    next ??= setImmediate().then(() => {
      next = null;
      return work();
    });
    return next;
  };
}
