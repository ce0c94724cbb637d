import { randomUUID } from 'node:crypto';
import { AppError, type Position, type Standing, type Turn } from '@lockstep/contract';
import { createKnownCommits } from '../known-commits.ts';
import type { StoreLog } from '../log.ts';
import { isLeftBehind, standingAgainst } from '../standing.ts';
import { type RedisCommands, readScript } from './redis-commands.ts';
import type { RedisKeys } from './redis-keys.ts';
import { type RedisLog, toPosition } from './redis-log.ts';
import { toMs } from './redis-time.ts';

const turnHistory = readScript('turn-history-4.lua');
const keptTurns = 100;
/** A node's word may not use up the numbers. */
const furthestJump = 1_000_000;
const idsAtOnce = 500;

export type RedisHistory = ReturnType<typeof createRedisHistory>;

/** Which history this process works with, what it knows of it, and its turns. */
export function createRedisHistory(
  { run, runScript }: RedisCommands,
  keys: RedisKeys,
  changeLog: RedisLog,
  log: StoreLog,
) {
  let epoch: string | null = null;
  const known = createKnownCommits();

  return {
    get epoch(): string | null {
      return epoch;
    },
    get known(): Position | null {
      return known.latest;
    },
    begin,
    see,
    head,
    standingOf,
    listTurns,
    turn,
    adopt,
    leftBehind,
    now: async () => toMs(await run((redis) => redis.time())),
  };

  /** This process works with `opened` from now on. */
  function begin(opened: string): void {
    epoch = opened;
    known.forget();
  }

  function see(position: Position): void {
    if (position.epoch === epoch) known.see(position);
  }

  async function head(): Promise<Position> {
    const position = await changeLog.head();
    if (epoch !== null && position.epoch !== epoch) await adopt();
    see(position);
    return position;
  }

  async function standingOf(positions: readonly Position[]): Promise<Standing[]> {
    // The head first: what it knows is in the history by then.
    const head = await changeLog.head();
    const numbers = [...new Set(positions.map(({ number }) => number))].filter(
      (number) => number < head.number,
    );
    const ids = await idsOf(numbers);
    return positions.map((position) => standingAgainst(head, position, (number) => ids.get(number) ?? null));
  }

  async function idsOf(numbers: number[]): Promise<Map<number, string>> {
    const ids = new Map<number, string>();
    for (let at = 0; at < numbers.length; at += idsAtOnce) {
      const some = numbers.slice(at, at + idsAtOnce);
      const entries = await run((redis) => redis.hmget(keys.history, ...some.map(String)));
      some.forEach((number, index) => {
        const id = entries[index]?.split(' ')[0];
        if (id) ids.set(number, id);
      });
    }
    return ids;
  }

  async function listTurns(): Promise<Turn[]> {
    const texts = await run((redis) => redis.lrange(keys.turns, 0, -1));
    return texts.map(parseTurn).filter((turn) => turn !== null);
  }

  /**
   * Begins a new epoch where the history has gone back behind `lost`, or, restored, in any case. Another process that did so
   * first is followed.
   */
  async function turn(reason: Turn['reason'], lost: Position | null): Promise<void> {
    if (epoch === null) throw new AppError('store_lost', 'the store was not opened');
    const kept = reason === 'restored' || lost === null ? null : await latestCommon(lost);
    const next = randomUUID();
    const [outcome, , keptNumber, , number] = (await runScript(
      turnHistory,
      [keys.meta, keys.log, keys.history, keys.turns],
      [
        next,
        epoch,
        reason,
        lost?.number ?? '',
        lost?.commitId ?? '',
        kept?.number ?? '',
        kept?.commitId ?? '',
        furthestJump,
        keptTurns,
        keys.commitsChannel,
      ],
    )) as [string, string?, string?, string?, string?];
    if (outcome === 'other') {
      if (!(await adopt())) throw new AppError('store_lost', 'the store is not the one this process opened');
      return;
    }
    if (outcome !== 'turned') return;
    log.warn(
      { reason, epoch: next, kept: Number(keptNumber), lost: lost?.number ?? null, goesOnAt: Number(number) },
      'the history of the store went back; it goes on in a new epoch',
    );
    begin(next);
    see({ epoch: next, number: Number(number), commitId: next });
  }

  /** The latest commit before `lost` that this process has seen and the store still holds. */
  async function latestCommon(lost: Position): Promise<{ number: number; commitId: string } | null> {
    const all = known.all().filter(({ number }) => number < lost.number);
    for (let at = 0; at < all.length; at += idsAtOnce) {
      const some = all.slice(at, at + idsAtOnce);
      const ids = await idsOf(some.map(({ number }) => number));
      const common = some.find(({ number, commitId }) => ids.get(number) === commitId);
      if (common !== undefined) return common;
    }
    return null;
  }

  /** Goes over to the store's epoch where it turned from the one this process works with; false where it is another store's. */
  async function adopt(): Promise<boolean> {
    const [meta, turns] = await Promise.all([
      run((redis) => redis.hmget(keys.meta, 'epoch', 'number', 'commitId')),
      listTurns(),
    ]);
    const head = toPosition(meta);
    if (head.epoch === epoch) return true;
    const since = turns.findIndex(({ kept }) => kept.epoch === epoch);
    if (epoch === null || since === -1) return false;
    const turned = turns[since]!;
    log.warn(
      {
        reason: turned.reason,
        epoch: head.epoch,
        kept: turned.kept.number,
        known: known.latest?.number ?? null,
      },
      'the history of the store went back; this process goes over to the new epoch',
    );
    begin(head.epoch);
    return true;
  }

  /** A follower found that the log does not continue from `at`. */
  async function leftBehind(at: Position): Promise<void> {
    if (epoch === null || at.epoch !== epoch) return;
    const [standing] = await standingOf([at]);
    if (isLeftBehind(standing!)) await turn('went_back', at);
  }
}

/** As the script of a turn writes it down. */
export function formatTurn({ at, reason, epoch, kept, lost }: Turn): string {
  const parts = [
    at,
    reason,
    epoch,
    kept.epoch,
    kept.number,
    kept.commitId,
    lost?.number ?? '',
    lost?.commitId ?? '',
  ];
  return parts.join('\n');
}

function parseTurn(text: string): Turn | null {
  const [at, reason, epoch = '', before = '', kept, keptId = '', lost = '', lostId = ''] = text.split('\n');
  if (reason !== 'restored' && reason !== 'went_back') return null;
  return {
    at: Number(at),
    reason,
    epoch,
    kept: { epoch: before, number: Number(kept), commitId: keptId },
    lost: lost === '' ? null : { epoch: before, number: Number(lost), commitId: lostId },
  };
}
