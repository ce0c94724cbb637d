import { setTimeout as delay } from 'node:timers/promises';
import { AppError, isAppError, recordKey } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';

/** With the competitors that are left, one to a control plane, a handful is the rule. */
const mostTries = 100;
const longestWaitMs = 200;

/** By store, the end of the queue of each record that somebody writes. */
const queues = new WeakMap<object, Map<string, Promise<void>>>();

/**
 * Runs `attempt`, which reads records and commits what it makes of them, when no other attempt of this process is at any of `keys`;
 * and once more, on what another process wrote meanwhile, each time its commit meets a conflict. Throws `overloaded` where others were
 * faster a hundred times.
 */
export function writeInTurn<T>(
  store: Pick<ConfigStore, 'commit'>,
  keys: readonly string[],
  attempt: () => Promise<T>,
  wait: (ms: number) => Promise<unknown> = delay,
): Promise<T> {
  return inTurn(store, keys, () => insist(attempt, wait));
}

/** Runs `work` when nothing else of this process is at any of `keys`. Whoever waits inside of it for more keys takes routes before hosts. */
export function inTurn<T>(
  store: Pick<ConfigStore, 'commit'>,
  keys: readonly string[],
  work: () => Promise<T>,
): Promise<T> {
  const ends = queues.get(store) ?? new Map<string, Promise<void>>();
  queues.set(store, ends);
  const mine = Promise.all(keys.map((key) => ends.get(key))).then(work);
  const end = mine.then(
    () => {},
    () => {},
  );
  for (const key of keys) ends.set(key, end);
  end.then(() => {
    for (const key of keys) if (ends.get(key) === end) ends.delete(key);
  });
  return mine;
}

/** The pauses are random and grow, so that writers in several processes do not meet again and again. */
async function insist<T>(attempt: () => Promise<T>, wait: (ms: number) => Promise<unknown>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!isAppError(error, 'revision_conflict')) throw error;
      if (tries === mostTries) throw beaten(error);
    }
    await wait(Math.random() * Math.min(longestWaitMs, 2 ** tries));
  }
}

function beaten(cause: AppError): AppError {
  const { kind, id } = cause.facts;
  const detail = `others write ${recordKey(kind as 'order', String(id))} all the time; try again`;
  return new AppError('overloaded', detail, { cause });
}
