import {
  AppError,
  audienceOf,
  type EventBounds,
  type JournalBounds,
  kinds,
  leftOutOfJournal,
  type Position,
  recordKey,
} from '@lockstep/contract';
import type { Commit, ConfigStore } from '../interface/config-store.ts';
import {
  hostTaken,
  leaseLost,
  type PreparedCommit,
  prepareCommit,
  revisionConflict,
  splitKey,
} from '../rules/prepared-commit.ts';
import { rememberedCommits } from '../rules/standing.ts';
import { damaged } from './redis-check.ts';
import { type RedisCommands, readScript } from './redis-commands.ts';
import { notOpened, type RedisHistory } from './redis-history.ts';
import type { RedisKeys } from './redis-keys.ts';

const commitScript = readScript('commit.lua');
const maxAttempts = 3;
const commitIdKeptMs = 3_900_000; // the contract says at least an hour

/** As `RedisCommands.runScript`. Throws `store_unavailable` as well when what was made is not on enough replicas. */
export type RunScript = RedisCommands['runScript'];

export interface Bounds {
  log: { entries: number; bytes: number };
  journal: JournalBounds;
  events: EventBounds;
}

/**
 * As `ConfigStore.commit`. Where the history turned, or went back behind what this process knows, it is made on the new one: its
 * checks name revisions, and those of commits that are gone are in no record there. Where a key is damaged it is made after that was made
 * anew, if it can be.
 */
export async function commitToRedis(
  runScript: RunScript,
  keys: RedisKeys,
  history: RedisHistory,
  check: ConfigStore['check'],
  bounds: Bounds,
  commit: Commit,
): Promise<Position> {
  const prepared = prepareCommit(commit);
  for (let attempt = 1; ; attempt += 1) {
    const { epoch, known } = history;
    if (epoch === null) throw new AppError('store_lost', 'the store was not opened');
    const outcome = await tryCommit(runScript, keys, { epoch, known, bounds }, commit, prepared);
    if (typeof outcome !== 'string' && 'key' in outcome) {
      const lasting = (await check()).find(({ mended }) => !mended);
      if (lasting !== undefined) throw damaged(lasting.key, lasting.detail);
      if (attempt === maxAttempts) throw damaged(outcome.key, 'is not what it has to be');
      continue;
    }
    if (typeof outcome !== 'string') {
      history.see(outcome);
      return outcome;
    }
    if (outcome === 'back' && known !== null && attempt < maxAttempts) {
      // What else this process has under way may have turned it meanwhile.
      if (history.epoch === epoch) await history.turn('went_back', known);
    } else if (attempt === maxAttempts || !(await history.adopt())) {
      throw notOpened();
    }
  }
}

async function tryCommit(
  runScript: RunScript,
  keys: RedisKeys,
  { epoch, known, bounds }: { epoch: string; known: Position | null; bounds: Bounds },
  { id, lease, checks = [], forgetsLog }: Commit,
  { changes, loggedFor, origin, events }: PreparedCommit,
): Promise<Position | { key: string } | 'lost' | 'back'> {
  const [outcome, detail = '', holder = ''] = (await runScript(
    commitScript,
    [
      keys.meta,
      keys.control.records,
      keys.control.ids,
      keys.claims,
      keys.claimIndex,
      keys.control.log,
      keys.history,
      keys.commitId(id),
      keys.lease(lease?.name ?? ''),
      keys.edge.records,
      keys.edge.ids,
      keys.edge.log,
      keys.journal,
      keys.events,
      ...keys.allDue,
    ],
    [
      epoch,
      id,
      loggedFor.control,
      loggedFor.edge,
      forgetsLog ? 1 : bounds.log.entries,
      bounds.log.bytes,
      lease?.token ?? '',
      keys.control.commitsChannel,
      keys.edge.commitsChannel,
      commitIdKeptMs,
      known?.number ?? '',
      known?.commitId ?? '',
      rememberedCommits,
      checks.length,
      changes.length,
      origin,
      bounds.journal.ageMs,
      bounds.journal.entries,
      bounds.events.ageMs,
      bounds.events.entries,
      events.length,
      ...checks.flatMap((check) => [
        audienceOf(check.kind),
        recordKey(check.kind, check.id),
        check.revision ?? '',
      ]),
      ...changes.flatMap(({ op, kind, key, claims, dueAt, json, journaled }) => [
        op,
        audienceOf(kind),
        kinds.indexOf(kind),
        key,
        JSON.stringify(claims),
        dueAt ?? '',
        json,
        journaled
          ? leftOutOfJournal(kind)
              .map((field) => `${field} `)
              .join('')
          : '-',
      ]),
      ...events,
    ],
  )) as [string, string?, string?];

  if (outcome === 'made') return { epoch, number: Number(detail), commitId: id };
  if (outcome === 'damaged') return { key: detail };
  if (outcome === 'lease') throw leaseLost(lease?.name ?? '');
  if (outcome === 'conflict') {
    const record = splitKey(detail);
    throw revisionConflict(record.kind, record.id);
  }
  if (outcome === 'taken') {
    const { kind, id: holderId } = splitKey(holder);
    throw hostTaken(detail, kind, holderId);
  }
  return outcome === 'back' ? 'back' : 'lost';
}
