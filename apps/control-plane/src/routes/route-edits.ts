import { AppError, type RouteRecord, recordFault, type StoredRecord } from '@lockstep/contract';
import { PutRoute } from '@lockstep/contract/schemas';
import type { Sealer } from '@lockstep/pki';
import { iso } from '../time/iso.ts';
import { toInvalidRequest } from '../validation/invalid-field.ts';
import { sealRoute } from './route-secrets.ts';

type Current = StoredRecord<'route'> | null;

/** The record that a route becomes; null: none. Given what it is, null where there is none. Throws what it cannot be for. */
export type Edit = (current: Current) => RouteRecord | null;

export interface RouteEditsOptions {
  /** Left out: routes with secrets are not taken. */
  sealer: Sealer<'edges'> | undefined;
  now: () => number;
}

/** What a route becomes by what callers give of it. */
export function createRouteEdits({ sealer, now }: RouteEditsOptions) {
  function recordOf(id: string, { id: _, ...given }: PutRoute, current: Current): RouteRecord {
    const updatedAt = iso(now());
    const sealed = sealRoute(sealer, id, given, current);
    return { ...sealed, createdAt: current?.value.createdAt ?? updatedAt, updatedAt };
  }

  /** The route with something of what was given changed, checked as a whole. */
  function edited(
    id: string,
    current: StoredRecord<'route'>,
    change: (given: Record<string, unknown>) => unknown,
  ): RouteRecord {
    const fault = recordFault(current);
    if (fault !== null)
      throw new AppError('wrong_state', `the record of route "${id}" ${fault}; put it anew, or delete it`);
    const { createdAt: _c, updatedAt: _u, sealedSecrets: _s, unproven: _p, ...given } = current.value;
    const merged = PutRoute.safeParse(change(given));
    if (!merged.success) throw toInvalidRequest(merged.error);
    return recordOf(id, merged.data, current);
  }

  return { recordOf, edited };
}

export type RouteEdits = ReturnType<typeof createRouteEdits>;
