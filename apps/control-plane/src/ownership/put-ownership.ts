import { type OwnershipRecord, ownershipId, ownershipLanes, wildcardOf } from '@lockstep/contract';
import type { Change } from '@lockstep/store';
import { provenClaimPrefix } from '../certificates/tenants-of-host.ts';
import { iso } from '../time/iso.ts';

/** The one way to write how a host stands for a tenant: due when it is looked at next. */
export function putOwnership(value: OwnershipRecord): Change {
  const id = ownershipId(value.host, value.tenant);
  const above = value.proven === null ? null : wildcardOf(value.host);
  return {
    op: 'put',
    kind: 'ownership',
    id,
    value,
    claims: above === null ? [] : [provenClaimPrefix(above) + id],
    dueAt: value.dueAt === null ? null : Date.parse(value.dueAt),
    lane: ownershipLanes[laneOf(value)],
  };
}

export function laneOf({ checks, proven, slow }: OwnershipRecord): keyof typeof ownershipLanes {
  if (checks === 0 && proven === null) return 'first';
  return slow === true && proven === null ? 'slow' : 'again';
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
