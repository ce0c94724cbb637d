import { AppError, isAppError, type PutRoute, recordKey } from '@lockstep/contract';
import type { Change, Check, ConfigStore } from '@lockstep/store';
import { commit, inTurn, type WriteOrigin } from '../changes/writes.ts';
import type { PreparedRoute, RouteChanges } from './route-changes.ts';
import type { RouteEdits } from './route-edits.ts';
import { routeNotFound } from './route-refusals.ts';

/** What came of one of several. */
export type WrittenLine = AppError | 'made' | 'changed' | 'unchanged' | 'deleted';

/** A body of null: it is deleted. */
export interface RouteLine {
  id: string;
  body: PutRoute | null;
}

/** What one of several can be refused for because of the others, or of somebody who was faster. */
const together = ['revision_conflict', 'host_taken', 'commit_too_large', 'invalid_request'] as const;
/** What is nobody's own fault. */
const notOfOne = ['store_unavailable', 'store_lost', 'lease_lost', 'internal'] as const;

export interface ManyRoutesOptions {
  store: ConfigStore;
  changes: RouteChanges;
  edits: Pick<RouteEdits, 'recordOf'>;
}

/** Several routes in one commit. */
export function createManyRoutes({ store, changes: { prepare, changesOf }, edits }: ManyRoutesOptions) {
  async function writeMany(origin: WriteOrigin, lines: RouteLine[]): Promise<WrittenLine[] | null> {
    const keys = lines.map(({ id }) => recordKey('route', id));
    return inTurn(store, keys, async () => {
      const records = await store.getMany(
        'route',
        lines.map(({ id }) => id),
      );
      const prepared = await Promise.all(
        lines.map(({ id, body }, index) =>
          prepare(origin, id, records[index] ?? null, (current) => {
            if (body !== null) return edits.recordOf(id, body, current);
            if (current === null) throw routeNotFound(id);
            return null;
          }).catch(errorOrThrow),
        ),
      );
      const hosts = prepared.flatMap((one) =>
        one instanceof AppError ? [] : [...new Set([...one.before, ...one.after])],
      );
      if (new Set(hosts).size < hosts.length) return null; // who names a host is read before the commit
      const orderKeys = hosts.map((host) => recordKey('order', host));
      return inTurn(store, orderKeys, () => commitMany(origin, prepared));
    });
  }

  async function commitMany(
    origin: WriteOrigin,
    prepared: (AppError | PreparedRoute)[],
  ): Promise<WrittenLine[] | null> {
    const checks = new Map<string, Check>();
    const changes: Change[] = [];
    const written = await Promise.all(
      prepared.map(async (one): Promise<WrittenLine> => {
        if (one instanceof AppError) return one;
        try {
          const made = await changesOf(origin, one, 'bulk');
          if (made.changes.length === 0) return 'unchanged';
          for (const check of made.checks) checks.set(recordKey(check.kind, check.id), check);
          changes.push(...made.changes);
          if (one.next === null) return 'deleted';
          return one.current === null ? 'made' : made.unchanged ? 'unchanged' : 'changed';
        } catch (error) {
          return errorOrThrow(error);
        }
      }),
    );
    if (written.some((one) => isAppError(one, 'revision_conflict'))) return null;
    if (changes.length === 0) return written;
    try {
      await commit(store, { ...origin, checks: [...checks.values()], changes });
      return written;
    } catch (error) {
      if (together.some((code) => isAppError(error, code))) return null;
      throw error;
    }
  }

  return { writeMany };
}

function errorOrThrow(error: unknown): AppError {
  if (error instanceof AppError && !notOfOne.some((code) => code === error.code)) return error;
  throw error;
}
