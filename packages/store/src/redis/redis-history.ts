import { randomUUID } from 'node:crypto';
import { AppError, type Position, type Standing, type Turn } from '@lockstep/contract';
import type { StoreLog } from '../interface/log.ts';
import { createKnownCommits } from '../rules/known-commits.ts';
import { kinshipOf, withEpoch } from '../rules/lineage.ts';
import { isLeftBehind, standingAgainst } from '../rules/standing.ts';
import { type RedisCommands, readScript } from './redis-commands.ts';
import type { RedisKeys } from './redis-keys.ts';
import { headFields, type RedisLog, toPosition } from './redis-log.ts';
import { pipelined } from './redis-pipeline.ts';
import { toMs } from './redis-time.ts';

const turnHistory = readScript('turn-history.lua');
const keptTurns = 100;
/** Others may be turning the same history. */
const maxAttempts = 3;
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
  let epochs: readonly string[] = [];
  const turns = new Map<string, Turn>();
  const known = createKnownCommits();

  return {
    get epoch(): string | null {
      return epoch;
    },
    get known(): Position | null {
      return known.latest;
    },
    get epochs(): readonly string[] {
      return epochs;
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

  /** This process works with `opened` from now on, which came from `earlier`. */
  function begin(opened: string, earlier: readonly string[] = epochs): void {
    epoch = opened;
    epochs = withEpoch(earlier, opened);
    known.forget();
  }

  function see(position: Position): void {
    if (position.epoch === epoch) known.see(position);
  }

  async function head(): Promise<Position> {
    let position = await changeLog.head();
    if (epoch !== null && position.epoch !== epoch && (await adopt())) position = await changeLog.head();
    see(position);
    return position;
  }

  /** Where this process knows of later commits, or the store left its epoch, the history turns first: then none stands on it. */
  async function standingOf(positions: readonly Position[]): Promise<Standing[]> {
    for (let attempt = 1; ; attempt += 1) {
      const mine = known.latest;
      const asked = mine === null ? positions : [...positions, mine];
      const { head, ids } = await headWithIds([...new Set(asked.map(({ number }) => number))]);
      const against = (position: Position) =>
        standingAgainst(head, position, (number) => ids.get(number) ?? null);
      if (epoch === null) return positions.map(against);
      if (head.epoch !== epoch) {
        if (!(await adopt())) return positions.map(() => 'apart');
      } else if (mine?.epoch === epoch && isLeftBehind(against(mine))) await turn('went_back', mine);
      else return positions.map(against);
      if (attempt === maxAttempts)
        throw new AppError('store_unavailable', 'the history of the store is turning');
    }
  }

  /** The head first, in one go: what it knows is in the history by then. */
  async function headWithIds(numbers: number[]): Promise<{ head: Position; ids: Map<number, string> }> {
    const [meta, entries = []] = (await run((redis) =>
      pipelined(redis, (pipeline) => {
        pipeline.hmget(keys.meta, ...headFields);
        if (numbers.length > 0) pipeline.hmget(keys.history, ...numbers.map(String));
      }),
    )) as [(string | null)[], (string | null)[]?];
    return { head: toPosition(meta), ids: idsIn(numbers, entries) };
  }

  /** With those that this process knows and the store lost, since an earlier state of it was put back. */
  async function listTurns(): Promise<Turn[]> {
    const listed = await readTurns();
    return [...listed, ...missing(listed)].sort((one, other) => one.at - other.at);
  }

  async function readTurns(): Promise<Turn[]> {
    const texts = await run((redis) => redis.lrange(keys.turns, -keptTurns, -1));
    const listed = texts.map(parseTurn).filter((turn) => turn !== null);
    for (const turn of listed) remember(turn);
    return listed;
  }

  function remember(turn: Turn): void {
    turns.set(turn.epoch, turn);
    if (turns.size > keptTurns) turns.delete(turns.keys().next().value!);
  }

  function missing(listed: readonly Turn[]): Turn[] {
    const there = new Set(listed.map((turn) => turn.epoch));
    return [...turns.values()].filter((turn) => !there.has(turn.epoch));
  }

  /**
   * Begins a new epoch where the history has gone back behind `lost`, or, restored, in any case. Another process that did so
   * first is followed.
   */
  async function turn(reason: Turn['reason'], lost: Position | null): Promise<void> {
    if (epoch === null) throw new AppError('store_lost', 'the store was not opened');
    await turnFrom(epoch, reason, lost);
  }

  async function turnFrom(
    left: string,
    reason: Turn['reason'],
    lost: Position | null,
    attempt = 1,
  ): Promise<void> {
    const kept = reason === 'restored' || lost?.epoch !== left ? null : await latestCommon(lost);
    const next = randomUUID();
    const untold = missing(await readTurns());
    const [outcome, at, keptNumber, keptId = '', number] = (await runScript(
      turnHistory,
      [keys.meta, keys.control.log, keys.history, keys.turns, keys.edge.log],
      [
        next,
        left,
        reason,
        lost?.epoch ?? '',
        lost?.number ?? '',
        lost?.commitId ?? '',
        kept?.number ?? '',
        kept?.commitId ?? '',
        furthestJump,
        keptTurns,
        keys.control.commitsChannel,
        keys.edge.commitsChannel,
        ...untold.map(formatTurn),
      ],
    )) as [string, string?, string?, string?, string?];
    if (outcome === 'other' && !(await adopt(attempt + 1))) throw notOpened();
    if (outcome !== 'turned') return;
    log.warn(
      { reason, epoch: next, kept: Number(keptNumber), lost: lost?.number ?? null, goesOnAt: Number(number) },
      'the history of the store went back; it goes on in a new epoch',
    );
    remember({
      at: Number(at),
      reason,
      epoch: next,
      kept: { epoch: left, number: Number(keptNumber), commitId: keptId },
      lost,
    });
    begin(next, withEpoch(epochs, left));
    see({ epoch: next, number: Number(number), commitId: next });
  }

  /** The latest commit before `lost` that this process has seen and the store still holds. */
  async function latestCommon(lost: Position): Promise<{ number: number; commitId: string } | null> {
    const all = known.all().filter(({ number }) => number < lost.number);
    for (let at = 0; at < all.length; at += idsAtOnce) {
      const some = all.slice(at, at + idsAtOnce);
      const numbers = some.map(({ number }) => number);
      const entries = await run((redis) => redis.hmget(keys.history, ...numbers.map(String)));
      const ids = idsIn(numbers, entries);
      const common = some.find(({ number, commitId }) => ids.get(number) === commitId);
      if (common !== undefined) return common;
    }
    return null;
  }

  /**
   * Goes over to the history that the store holds: where it turned from this one, and where it is an earlier state of it, which turns
   * now. False where it is another store's.
   */
  async function adopt(attempt = 1): Promise<boolean> {
    if (attempt > maxAttempts) throw new AppError('store_unavailable', 'the history of the store is turning');
    // The head first: the turns that led to it are told by then.
    const head = await changeLog.head();
    const told = await readTurns();
    if (epoch === null) return false;
    const kinship = kinshipOf(head.epoch, told, epochs);
    if (kinship === 'another') return false;
    if (kinship === 'went_back') await turnFrom(head.epoch, 'went_back', known.latest, attempt);
    if (kinship !== 'turned') return true;
    const turned = told.find(({ kept, lost }) => kept.epoch === epoch || lost?.epoch === epoch)!;
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
    if (epoch === null) return;
    const [standing] = await standingOf([at]);
    if (at.epoch === epoch && isLeftBehind(standing!)) await turn('went_back', at);
  }
}

/** The ids of commits, in entries of the history. */
function idsIn(numbers: number[], entries: (string | null)[]): Map<number, string> {
  const ids = new Map<number, string>();
  numbers.forEach((number, index) => {
    const id = entries[index]?.split(' ')[0];
    if (id) ids.set(number, id);
  });
  return ids;
}

export function notOpened(): AppError {
  return new AppError(
    'store_lost',
    'the store holds another history than the one this process opened; where a backup was put back, start one control plane with --restored',
  );
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
    lost?.epoch ?? '',
    lost?.number ?? '',
    lost?.commitId ?? '',
  ];
  return parts.join('\n');
}

function parseTurn(text: string): Turn | null {
  const [at, reason, epoch = '', before = '', kept, keptId = '', lostEpoch = '', lost = '', lostId = ''] =
    text.split('\n');
  if (reason !== 'restored' && reason !== 'went_back') return null;
  if (![at, kept, lost || '0'].every((number) => /^\d{1,15}$/.test(number ?? ''))) return null;
  return {
    at: Number(at),
    reason,
    epoch,
    kept: { epoch: before, number: Number(kept), commitId: keptId },
    lost: lost === '' ? null : { epoch: lostEpoch, number: Number(lost), commitId: lostId },
  };
}
