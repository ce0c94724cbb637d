import type { Turn, WentBack } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import type { RecentCommits } from '../changes/recent-commits.ts';
import { iso } from '../time/iso.ts';

const lookIntervalMs = 10_000;
/** Between two looks at the epoch that is followed: another one is a turn to be told. */
const epochIntervalMs = 1_000;
/** Records named of a history that went back. */
const mostNamed = 100;

/** The times that the store's history went back. Each is logged, with what is gone, by every control plane that learns of it. */
export interface Turns {
  /** The latest first. */
  wentBack(): WentBack[];
  close(): void;
}

export interface TurnsOptions {
  store: Pick<ConfigStore, 'listTurns'>;
  commits: RecentCommits;
  log: Logger;
}

/** Throws `store_unavailable` when the turns cannot be read at the start. */
export async function createTurns({ store, commits, log }: TurnsOptions): Promise<Turns> {
  const known = new Map<string, WentBack>();

  let lookedAtMs = 0;
  let epoch: string | null = null;

  async function look(): Promise<void> {
    lookedAtMs = performance.now();
    epoch = commits.head?.epoch ?? null;
    for (const turn of await store.listTurns()) {
      if (known.has(turn.epoch)) continue;
      const went = present(turn, commits);
      known.set(turn.epoch, went);
      log.error({ ...went }, `the history of the store went back to revision ${went.from}; ${lossOf(went)}`);
    }
  }

  await look();
  const timer = setInterval(() => {
    const turned = (commits.head?.epoch ?? null) !== epoch;
    if (!turned && performance.now() - lookedAtMs < lookIntervalMs) return;
    look().catch((error: unknown) => log.debug({ err: error }, 'cannot read the turns; reading them again'));
  }, epochIntervalMs);

  return {
    wentBack: () => [...known.values()].reverse(),
    close: () => clearInterval(timer),
  };
}

function present({ at, reason, epoch, kept, lost }: Turn, commits: RecentCommits): WentBack {
  return {
    at: iso(at),
    reason,
    epoch,
    from: kept.number,
    to: lost?.number ?? null,
    // Of two epochs the numbers tell nothing of how many lie between.
    commits: lost?.epoch === kept.epoch ? lost.number - kept.number : null,
    records: lost === null ? [] : commits.changed(kept, lost, mostNamed),
  };
}

function lossOf({ to, commits }: WentBack): string {
  if (commits === null) return 'what was committed after it, if anything, is gone';
  return commits === 0 ? 'nothing is known to be gone' : `${commits} commits, up to ${to}, are gone`;
}
