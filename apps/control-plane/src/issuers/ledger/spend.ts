import { setTimeout as delay } from 'node:timers/promises';
import { isAppError, type Position } from '@lockstep/contract';
import type { Commit, ConfigStore } from '@lockstep/store';
import { commitSurely } from '../../changes/commit-surely.ts';
import { isRefusal, type LedgerRefusal } from './ledger.ts';

/** With the competitors that are left, one to a control plane, a handful is the rule. */
const mostAttempts = 100;
const longestWaitMs = 50;

export type Spend = (
  queue: string,
  build: () => Promise<Commit | LedgerRefusal>,
) => Promise<Position | LedgerRefusal>;

/**
 * Commits that take tokens from shared buckets. Each is tried at once; those whose bucket was hot go on one after another, so
 * that at most one commit of each control plane competes for it and none is beaten for long.
 */
export function createSpend(store: ConfigStore, wait: (ms: number) => Promise<void> = delay): Spend {
  const queues = new Map<string, Promise<unknown>>();

  async function attempt(build: () => Promise<Commit | LedgerRefusal>) {
    const built = await build();
    if (isRefusal(built)) return built;
    return commitSurely(store, built);
  }

  async function insist(build: () => Promise<Commit | LedgerRefusal>) {
    for (let attempts = 1; ; attempts += 1) {
      try {
        return await attempt(build);
      } catch (error) {
        if (!isBucketConflict(error) || attempts === mostAttempts) throw error;
        await wait(Math.random() * Math.min(longestWaitMs, 2 ** attempts));
      }
    }
  }

  return async (queue, build) => {
    try {
      return await attempt(build);
    } catch (error) {
      if (!isBucketConflict(error)) throw error;
    }
    const before = queues.get(queue) ?? Promise.resolve();
    const mine = before.then(() => insist(build));
    const settled = mine
      .catch(() => {})
      .finally(() => {
        if (queues.get(queue) === settled) queues.delete(queue);
      });
    queues.set(queue, settled);
    return mine;
  };
}

function isBucketConflict(error: unknown): boolean {
  return isAppError(error, 'revision_conflict') && error.facts.kind === 'bucket';
}
