/** What a destination keeps of lines that it cannot write yet; beyond, they are dropped. */
const keptBytes = 1_048_576;

interface Destination {
  on(event: 'error', listener: () => void): unknown;
}

/**
 * Where a log is written, by pino's `open`: a full disk, or a reader that is gone, costs lines and ends nothing. By itself it throws inside
 * whatever callback wrote the line.
 */
export function logDestination<T extends Destination>(
  open: (options: { dest: number; sync: boolean; maxLength: number }) => T,
  fd = 1,
): T {
  const destination = open({ dest: fd, sync: true, maxLength: keptBytes });
  destination.on('error', () => {}); // nowhere is left to tell it
  return destination;
}
