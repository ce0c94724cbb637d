/** What a destination keeps of lines that it cannot write yet; beyond, they are dropped. */
const keptBytes = 1_048_576;

interface Destination {
  on(event: 'error' | 'drop' | 'drain', listener: () => void): unknown;
  /** What is left at the end of the process. */
  flushSync(): void;
}

/**
 * Where a log is written, by pino's `open`. A full disk, a reader that is gone or one that stands still costs lines, and neither ends
 * nor holds up anything: by itself, pino writes inside whatever callback logs the line, throws there and waits there.
 */
export function logDestination<T extends Destination>(
  open: (options: { dest: number; sync: boolean; maxLength: number }) => T,
  fd = 1,
): T {
  const destination = open({ dest: fd, sync: false, maxLength: keptBytes });
  const flushSync = destination.flushSync.bind(destination);
  let stuck = false;
  // Nowhere is left to tell it.
  for (const trouble of ['error', 'drop'] as const)
    destination.on(trouble, () => {
      stuck = true;
    });
  destination.on('drain', () => {
    stuck = false;
  });
  destination.flushSync = () => {
    if (stuck) return; // the end would wait for ever
    try {
      flushSync();
    } catch {
      // lost, as what comes on a full disk is
    }
  };
  return destination;
}
