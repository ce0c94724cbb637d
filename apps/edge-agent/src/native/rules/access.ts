import { createAddressRanges, type RouteRecord } from '@lockstep/contract';
import type { Gate } from './rule.ts';

/** `access` of a route: `deny` goes before `allow`. */
export function compileAccess({ access }: RouteRecord): Gate | null {
  if (access === undefined || (access.allow === undefined && access.deny === undefined)) return null;
  const allowed = access.allow === undefined ? null : createAddressRanges(access.allow);
  const denied = createAddressRanges(access.deny ?? []);
  return {
    pass: ({ clientAddress }) =>
      denied.has(clientAddress) || allowed?.has(clientAddress) === false ? { reason: 'access_denied' } : null,
  };
}
