import { type OwnershipRecord, ownershipId, ownershipLanes } from '@lockstep/contract';
import type { Change } from '@lockstep/store';
import { iso } from '../time/iso.ts';

/** The one way to write how a host stands for a tenant: due when it is looked at next. */
export function putOwnership(value: OwnershipRecord): Change {
  return {
    op: 'put',
    kind: 'ownership',
    id: ownershipId(value.host, value.tenant),
    value,
    dueAt: value.dueAt === null ? null : Date.parse(value.dueAt),
    lane: ownershipLanes[laneOf(value)],
  };
}

export function laneOf({ checks, proven }: OwnershipRecord): keyof typeof ownershipLanes {
  return checks === 0 && proven === null ? 'first' : 'again';
}

/** A host that waits from now on, due at once. */
export function newOwnership({
  host,
  tenant,
  now,
}: Pick<OwnershipRecord, 'host' | 'tenant'> & { now: number }): OwnershipRecord {
  const at = iso(now);
  return {
    host,
    tenant,
    policy: null,
    proven: null,
    since: at,
    checks: 0,
    detail: '',
    requirements: [],
    waitedUntil: null,
    dueAt: at,
  };
}
