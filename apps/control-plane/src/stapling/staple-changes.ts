import { X509Certificate } from 'node:crypto';
import type { Change } from '@lockstep/store';
import { iso } from '../time/iso.ts';

/**
 * What goes into the commit that puts certificate `id`: a staple record, due at once, where the leaf names a responder; otherwise
 * (or `chain` is null, for one of which that is known) no record, the one of an earlier certificate included. The old response spoke of the old leaf and goes either way.
 */
export function stapleChanges(
  id: string,
  chain: string | null,
  now: number,
  ocspUrlOf: (chainPem: string) => string | null,
): Change[] {
  const url = chain === null ? null : ocspUrlOf(chain);
  if (chain === null || url === null) return [{ op: 'delete', kind: 'staple', id }];
  const { fingerprint256 } = new X509Certificate(chain);
  return [
    {
      op: 'put',
      kind: 'staple',
      id,
      value: {
        fingerprint256,
        url,
        response: null,
        nextUpdate: null,
        failures: 0,
        lastError: null,
        dueAt: iso(now),
      },
      dueAt: now,
    },
  ];
}
