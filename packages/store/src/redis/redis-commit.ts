import { AppError, kinds, type Position, recordKey } from '@lockstep/contract';
import type { Commit } from '../config-store.ts';
import { hostTaken, leaseLost, prepareCommit, revisionConflict, splitKey } from '../prepared-commit.ts';
import { type RedisCommands, readScript } from './redis-commands.ts';
import type { RedisKeys } from './redis-keys.ts';

const commitScript = readScript('commit-21.lua');
const commitIdKeptMs = 3_900_000; // the contract says at least an hour

export async function commitToRedis(
  { runScript }: RedisCommands,
  keys: RedisKeys,
  { epoch, logEntries }: { epoch: string | null; logEntries: number },
  commit: Commit,
): Promise<Position> {
  const { changes, logged } = prepareCommit(commit);
  if (epoch === null) throw new AppError('store_lost', 'the store was not opened');
  const { id, lease, checks = [] } = commit;
  const [outcome, detail = '', holder = ''] = (await runScript(
    commitScript,
    [
      keys.meta,
      keys.records,
      keys.ids,
      keys.claims,
      keys.claimIndex,
      keys.log,
      keys.commitId(id),
      keys.lease(lease?.name ?? ''),
      ...keys.allDue,
    ],
    [
      epoch,
      id,
      logged,
      logEntries,
      lease?.token ?? '',
      keys.commitsChannel,
      commitIdKeptMs,
      checks.length,
      changes.length,
      ...checks.flatMap((check) => [recordKey(check.kind, check.id), check.revision ?? '']),
      ...changes.flatMap(({ op, kind, key, claims, dueAt, json }) => [
        op,
        kinds.indexOf(kind),
        key,
        JSON.stringify(claims),
        dueAt ?? '',
        json,
      ]),
    ],
  )) as [string, string?, string?];

  if (outcome === 'made') return { epoch, number: Number(detail), commitId: id };
  if (outcome === 'lease') throw leaseLost(lease?.name ?? '');
  if (outcome === 'conflict') {
    const record = splitKey(detail);
    throw revisionConflict(record.kind, record.id);
  }
  if (outcome === 'taken') {
    const { kind, id: holderId } = splitKey(holder);
    throw hostTaken(detail, kind, holderId);
  }
  throw new AppError('store_lost', 'the store is not the one this process opened');
}
