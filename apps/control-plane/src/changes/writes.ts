import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  AppError,
  type CommitOrigin,
  isAppError,
  type Kind,
  type OwnershipPolicy,
  type Position,
  recordKey,
} from '@lockstep/contract';
import type { Check, Commit, ConfigStore } from '@lockstep/store';
import type { Bounds } from '../auth/bounds.ts';
import { eventsOfWrite, type WrittenStore } from './events-of-write.ts';

/*
 * The one way in which this control plane changes the store. A commit says who makes it and what led to it, is made at most once, however
 * often its answer is lost, and comes in turn where others of this process are at the same records.
 */

/**
 * What a caller asks of the resource that it changes: told its revision at each try, null where there is none, and before the commit that
 * checks this revision. Throws `precondition_failed`.
 */
export type Condition = (revision: number | null) => void;

/** Whose change it is, and what led to it. */
export interface WriteOrigin extends Pick<CommitOrigin, 'by'>, Partial<Omit<CommitOrigin, 'by'>> {
  /** What alone it may reach; left out: everything. */
  bounds?: Bounds | undefined;
  /** What has to be proven before a host that it names is served; left out: what the settings say. */
  ownership?: OwnershipPolicy | undefined;
  condition?: Condition | undefined;
  along?: Along | undefined;
}

/** What goes with the first commit that is made on an origin's account: both are made, or neither. */
export interface Along {
  /** Runs `make` with it, or with null once it has gone with one. */
  take(
    make: (
      more: (Pick<Required<Commit>, 'changes'> & { checks: readonly Check[] }) | null,
    ) => Promise<Position>,
  ): Promise<Position>;
}

export type Write = WriteOrigin & Omit<Commit, 'id' | keyof CommitOrigin>;

type Wait = (ms: number) => Promise<unknown>;

export interface RetryOptions {
  /** Conflicts over records of this kind alone are met with another try; left out: over any. */
  kind?: Kind;
  wait?: Wait | undefined;
}

const mostRepeats = 3;
/** With the competitors that are left, one to a control plane, a handful is the rule. */
const mostTries = 100;
const longestWaitMs = 200;

/** By store, the end of the queue of each record that somebody writes. */
const queues = new WeakMap<object, Map<string, Promise<void>>>();

/**
 * Makes one commit, with what callers are told of it. Where the store could not say whether it did, it is repeated under the same id, which makes it at most once. Each
 * attempt waits for the store by itself, so this throws `store_unavailable` after some seconds, as it throws all else at once.
 */
export async function commit(
  store: WrittenStore,
  { bounds: _, ownership: _ownership, condition: _condition, along, ...write }: Write,
): Promise<Position> {
  if (along === undefined) return commitAlone(store, write);
  return along.take((more) => {
    if (more === null) return commitAlone(store, write);
    const checks = [...(write.checks ?? []), ...more.checks];
    return commitAlone(store, { ...write, checks, changes: [...write.changes, ...more.changes] });
  });
}

async function commitAlone(store: WrittenStore, write: Omit<Commit, 'id'>): Promise<Position> {
  const repeatable: Commit = { id: randomUUID(), ...write, events: await eventsOfWrite(store, write) };
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await store.commit(repeatable);
    } catch (error) {
      if (!isAppError(error, 'store_unavailable') || attempt === mostRepeats) throw error;
    }
  }
}

/** The same; null where a record that it checks has changed, for a write that is of no use then. */
export async function commitUnlessChanged(store: WrittenStore, write: Write): Promise<Position | null> {
  try {
    return await commit(store, write);
  } catch (error) {
    if (isAppError(error, 'revision_conflict')) return null;
    throw error;
  }
}

/**
 * Runs `attempt`, which reads records and commits what it makes of them, when no other attempt of this process is at any of `keys`;
 * and once more, on what another process wrote meanwhile, each time its commit meets a conflict. Throws `overloaded` where others were
 * faster a hundred times.
 */
export function writeInTurn<T>(
  store: Pick<ConfigStore, 'commit'>,
  keys: readonly string[],
  attempt: () => Promise<T>,
  options: RetryOptions = {},
): Promise<T> {
  return inTurn(store, keys, () => retryOnConflict(attempt, options));
}

/**
 * The same for records that are seldom contended: the first try waits for nobody, and those beaten go on one after another, so that at
 * most one of each control plane competes for them.
 */
export async function writeAtOnce<T>(
  store: Pick<ConfigStore, 'commit'>,
  keys: readonly string[],
  attempt: () => Promise<T>,
  options: RetryOptions = {},
): Promise<T> {
  try {
    return await attempt();
  } catch (error) {
    if (!isConflict(error, options.kind)) throw error;
  }
  return writeInTurn(store, keys, attempt, options);
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

/**
 * Runs `attempt` until it meets no conflict; it is told of the one before. The pauses are random and grow, so that writers in several
 * processes do not meet again and again. Throws `overloaded` as `writeInTurn` does.
 */
export async function retryOnConflict<T>(
  attempt: (conflict: AppError | null) => Promise<T>,
  { kind, wait = delay }: RetryOptions = {},
): Promise<T> {
  let conflict: AppError | null = null;
  for (let tries = 1; ; tries += 1) {
    try {
      return await attempt(conflict);
    } catch (error) {
      if (!isConflict(error, kind)) throw error;
      if (tries === mostTries) throw beaten(error);
      conflict = error;
    }
    await wait(Math.random() * Math.min(longestWaitMs, 2 ** tries));
  }
}

function isConflict(error: unknown, kind: Kind | undefined): error is AppError {
  return isAppError(error, 'revision_conflict') && (kind === undefined || error.facts.kind === kind);
}

function beaten(cause: AppError): AppError {
  const { kind, id } = cause.facts;
  const detail = `others write ${recordKey(kind as Kind, String(id))} all the time; try again`;
  return new AppError('overloaded', detail, { cause });
}
