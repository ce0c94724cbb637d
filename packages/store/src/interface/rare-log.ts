import type { StoreLog } from './log.ts';

const everyMs = 60_000;

/** Warns once a minute and kind, with how many there were: what others send must not fill the log. */
export function createRareLog(log: StoreLog, now: () => number = () => performance.now()) {
  const kinds = new Map<string, { at: number; unsaid: number }>();
  return function warn(kind: string, facts: object, message: string): void {
    const known = kinds.get(kind);
    if (known !== undefined && now() - known.at < everyMs) {
      known.unsaid += 1;
      return;
    }
    log.warn(known === undefined || known.unsaid === 0 ? facts : { ...facts, unsaid: known.unsaid }, message);
    kinds.set(kind, { at: now(), unsaid: 0 });
  };
}

export type RareLog = ReturnType<typeof createRareLog>;
