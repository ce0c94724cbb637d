import type { Boundary, ConfirmationRecord, HeldSnapshot, Position } from '@lockstep/contract';
import type { ConfigCache, StagedSnapshot } from '@lockstep/store';
import type { Logger } from 'pino';

const defaultLookAgainMs = 2_000;
const lookAgainAtMostMs = 60_000;
/** An edge with a single host is not worth guarding: removing it is an ordinary change. */
const guardFromHosts = 2;

export interface WipeGuardOptions {
  cache: Pick<ConfigCache, 'hosts' | 'count'>;
  log: Logger;
  boundary: Boundary;
  /** How soon a snapshot that is held back is looked at again; doubled each time, up to 60 s. Default 2 s. */
  lookAgainMs?: number | undefined;
  /** It is time to take the snapshot again: it may have been confirmed, or be a better one. */
  onLook(): void;
}

/** Holds a snapshot back that would remove more than half of the hosts, until it is confirmed or a better one comes. */
export interface WipeGuard {
  readonly held: HeldSnapshot | null;
  /** Whether the snapshot may take the place of what is held; else it is `held`, and looked at again later. */
  allows(staged: StagedSnapshot, confirmation: ConfirmationRecord | null): boolean;
  /** It was confirmed, maybe. */
  lookNow(): void;
  close(): void;
}

export function createWipeGuard({ cache, log, boundary, lookAgainMs, onLook }: WipeGuardOptions): WipeGuard {
  const firstMs = lookAgainMs ?? defaultLookAgainMs;
  let held: HeldSnapshot | null = null;
  let nextMs = firstMs;
  let timer: NodeJS.Timeout | undefined;

  function lookIn(delayMs: number): void {
    clearTimeout(timer);
    timer = setTimeout(boundary.guard('look', onLook), delayMs);
  }

  /**
   * What a snapshot would wipe; null when it leaves enough. Certificates count for themselves: a history begun anew gets its routes
   * back before them, and hosts that are served on demand have no route.
   */
  function wipedBy({ removed }: StagedSnapshot): { hosts: number; removed: number } | null {
    const counts = [
      { hosts: cache.hosts(), removed: removed.hosts },
      { hosts: cache.count('certificate'), removed: removed.certificates },
    ];
    const wiped = counts.filter((count) => count.hosts >= guardFromHosts && count.removed * 2 > count.hosts);
    return wiped.sort((a, b) => b.removed - a.removed)[0] ?? null;
  }

  /** An operator confirms the revision that was reported; it stays as long as what is offered has not become worse. */
  function holdable(position: Position, hosts: number, removed: number): HeldSnapshot {
    const same = held !== null && held.revision.epoch === position.epoch && removed <= held.removed;
    return {
      revision: same ? held!.revision : { epoch: position.epoch, number: position.number },
      hosts,
      removed,
    };
  }

  function hold(offered: HeldSnapshot): void {
    if (held === null) {
      log.error({ ...offered }, 'a snapshot would remove most hosts and is held back until it is confirmed');
    }
    held = offered;
    lookIn(nextMs);
    nextMs = Math.min(nextMs * 2, lookAgainAtMostMs);
  }

  return {
    get held() {
      return held;
    },
    allows(staged, confirmation) {
      const wiped = wipedBy(staged);
      if (wiped !== null) {
        const offered = holdable(staged.position, wiped.hosts, wiped.removed);
        if (!covers(confirmation, offered)) {
          hold(offered);
          return false;
        }
        log.warn({ ...offered }, 'an operator confirmed the snapshot that was held back');
      }
      clearTimeout(timer);
      nextMs = firstMs;
      held = null;
      return true;
    },
    lookNow: () => lookIn(0),
    close: () => clearTimeout(timer),
  };
}

function covers(confirmation: ConfirmationRecord | null, { revision }: HeldSnapshot): boolean {
  return (
    confirmation !== null &&
    confirmation.revision.epoch === revision.epoch &&
    confirmation.revision.number >= revision.number
  );
}
