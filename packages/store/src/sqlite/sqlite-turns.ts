import { randomUUID } from 'node:crypto';
import { AppError, type Position, type Standing, type Turn } from '@lockstep/contract';
import type { OpenOptions } from '../interface/config-store.ts';
import { kinshipOf } from '../rules/lineage.ts';
import { isLeftBehind, standingAgainst } from '../rules/standing.ts';
import { readHead } from './sqlite-log.ts';
import { type Sql, transact } from './statements.ts';

const keptTurns = 100;

/** Which history the file holds, and its turns: where a copy of an earlier day was put back. */
export function createSqliteTurns(sql: Sql, now: () => number) {
  return { open, standingOf, listTurns };

  function open({
    create,
    expectedEpoch,
    earlierEpochs = [],
    known = null,
    restored = false,
  }: OpenOptions): string {
    return transact(sql, () => {
      const head = readHead(sql);
      if (head === null) {
        if (!create || expectedEpoch !== null) throw new AppError('store_lost', 'the store is empty');
        const epoch = randomUUID();
        sql("INSERT INTO meta (key, value) VALUES ('epoch', ?)").run(epoch);
        return epoch;
      }
      const epochs = expectedEpoch === null ? [head.epoch] : [...earlierEpochs, expectedEpoch];
      const kinship = kinshipOf(head.epoch, listTurns(), epochs);
      if (kinship === 'another' && !restored) {
        throw new AppError(
          'store_lost',
          'the store holds another history than before; where a backup was put back, start once with --restored',
        );
      }
      const lost =
        known === null || kinship === 'turned' || !isLeftBehind(standing(head, known)) ? null : known;
      if (restored) return turn(head, 'restored', lost);
      return lost === null && kinship !== 'went_back' ? head.epoch : turn(head, 'went_back', lost);
    });
  }

  function standingOf(position: Position): Standing {
    const head = readHead(sql);
    return head === null ? 'apart' : standing(head, position);
  }

  function standing(head: Position, position: Position): Standing {
    return standingAgainst(head, position, (number) => {
      const row = sql('SELECT commit_id FROM log WHERE number = ?').get(number);
      return row === undefined ? null : String(row.commit_id);
    });
  }

  /** A new epoch over the records as they are, under a number above all that are known; the log begins anew. */
  function turn(kept: Position, reason: Turn['reason'], lost: Position | null): string {
    const epoch = randomUUID();
    const turn: Turn = { at: now(), reason, epoch, kept, lost };
    const setMeta = sql('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)');
    setMeta.run('turns', JSON.stringify([...listTurns(), turn].slice(-keptTurns)));
    sql('DELETE FROM log').run();
    setMeta.run('epoch', epoch);
    setMeta.run('number', Math.max(kept.number, lost?.number ?? 0) + 1);
    setMeta.run('commitId', epoch);
    return epoch;
  }

  function listTurns(): Turn[] {
    const row = sql("SELECT value FROM meta WHERE key = 'turns'").get();
    return row === undefined ? [] : JSON.parse(String(row.value));
  }
}
