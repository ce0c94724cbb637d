import {
  AppError,
  type RecordValues,
  recordKey,
  type SealedKind,
  type StoredRecord,
  sealedFields,
} from '@lockstep/contract';
import { keyIdOf, type Sealers } from '@lockstep/pki';
import type { Change } from '@lockstep/store';
import { putCertificate } from '../certificates/certificate-record.ts';
import { putKey } from '../idempotency/keyed-request.ts';
import { putOrder } from '../orders/order-record.ts';
import { putCaddyRoute } from '../routes/caddy-route-record.ts';
import { putRoute } from '../routes/route-record.ts';
import { putTicketKeys } from '../session-tickets/put-ticket-keys.ts';
import { putWebhook } from '../webhooks/webhook-record.ts';

/** How a record of each kind that holds something sealed is written once more, as it is. */
const puts: { [K in SealedKind]: (id: string, value: RecordValues[K]) => Change } = {
  route: putRoute,
  certificate: putCertificate,
  order: putOrder,
  challenge: (id, value) => ({ op: 'put', kind: 'challenge', id, value }),
  account: (id, value) => ({ op: 'put', kind: 'account', id, value }),
  authority: (id, value) => ({ op: 'put', kind: 'authority', id, value }),
  issuer: (id, value) => ({ op: 'put', kind: 'issuer', id, value }),
  webhook: putWebhook,
  settings: (id, value) => ({ op: 'put', kind: 'settings', id, value }),
  idempotency: putKey,
  'caddy-route': putCaddyRoute,
  'ownership-secret': (id, value) => ({ op: 'put', kind: 'ownership-secret', id, value }),
  'session-tickets': (_id, value) => putTicketKeys(value),
};

export function putAsItIs<K extends SealedKind>({ kind, id, value }: StoredRecord<K>): Change {
  return (puts[kind] as (id: string, value: RecordValues[K]) => Change)(id, value as RecordValues[K]);
}

/** What is sealed in a record with another key than the current one: the ids of those keys, where it opens and where it does not. */
export function olderKeysOf(
  { controlPlanes, edges }: Sealers,
  { kind, id, value }: StoredRecord<SealedKind>,
): { opens: string[]; altered: string[] } {
  const found: { opens: string[]; altered: string[] } = { opens: [], altered: [] };
  for (const { sealed, audience } of sealedFields(kind, value)) {
    const sealer = audience === 'edge' ? edges : controlPlanes;
    const keyId = keyIdOf(sealed);
    if (keyId === null || sealer.isCurrent(sealed)) continue;
    found[opens(() => sealer.open(sealed, recordKey(kind, id))) ? 'opens' : 'altered'].push(keyId);
  }
  return found;
}

export function holdsSealed(change: Change): boolean {
  return change.op === 'put' && sealedFields(change.kind, change.value).length > 0;
}

/** A change with all that is sealed in it sealed with the current keys; what does not open, as somebody altered it, stays as it is. */
export function sealedAnew({ controlPlanes, edges }: Sealers, change: Change): Change {
  if (change.op === 'delete') return change;
  const { kind, id } = change;
  const anew: Record<string, string> = {};
  for (const { field, sealed, audience } of sealedFields(kind, change.value)) {
    const sealer = audience === 'edge' ? edges : controlPlanes;
    if (sealer.isCurrent(sealed)) continue;
    opens(() => {
      anew[field] = sealer.sealAnew(sealed, recordKey(kind, id));
    });
  }
  return { ...change, value: { ...change.value, ...anew } } as Change;
}

function opens(open: () => unknown): boolean {
  try {
    open();
    return true;
  } catch (error) {
    if (error instanceof AppError) return false;
    throw error;
  }
}
