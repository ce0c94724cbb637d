import {
  broughtIssuer,
  type CertificateStatus,
  type LastError,
  type OrderRecord,
  type State,
  type StoredRecord,
} from '@lockstep/contract';
import type { FleetView } from '../fleet/fleet.ts';
import { servedBy } from '../fleet/serving.ts';
import type { QueuePosition } from '../orders/queue-position.ts';

export interface HostRecords {
  host: string;
  order: StoredRecord<'order'> | null;
  certificate: StoredRecord<'certificate'> | null;
  /** The valid brought certificate that edges serve for the host, before any managed one. */
  brought: StoredRecord<'certificate'> | null;
  /** Set where it waits for a proof of whose it is: the rest of it is nobody's then, or somebody else's. */
  waits?: true | undefined;
  /** How it stands for the tenant of the route, where it was to be proven. */
  ownership?: StoredRecord<'ownership'> | null | undefined;
  /** While its first attempt waits for its turn. */
  queue?: QueuePosition | null;
}

/** What is true of the certificate that serves a host: the brought one where there is one, else the managed one. */
export function deriveCertificateStatus(
  { host, order, certificate, brought }: HostRecords,
  fleet: FleetView,
): CertificateStatus {
  const served = brought ?? certificate;
  const unmanaged = served !== null && served.value.issuer === broughtIssuer;
  const value = unmanaged ? undefined : order?.value;
  const waits = value !== undefined && (value.lastError !== null || value.waitingForDns != null);
  const state = certificateState({ host, order, certificate, brought }, fleet);
  return {
    id: brought?.id ?? order?.id ?? certificate?.id ?? host,
    host,
    state,
    notAfter: served?.value.notAfter ?? null,
    lastError:
      unmanaged && state === 'failed'
        ? unusable(served, fleet.now)
        : value === undefined
          ? null
          : errorOf(value, state),
    nextAttemptAt: waits && value.unusedSince === null ? value.dueAt : null,
  };
}

/** The certificate that clients of the host can use now: valid by the store's clock. */
export function validFor(
  { certificate, brought }: Pick<HostRecords, 'certificate' | 'brought'>,
  now: number,
): StoredRecord<'certificate'> | null {
  const served = brought ?? certificate;
  return served !== null && validityOf(served, now) === 'valid' ? served : null;
}

/** What keeps a renewal back is told too, where the state does not tell it: that of a route that is served is `live`. */
function errorOf({ lastError, waitingForDns, step }: OrderRecord, state: State): LastError | null {
  if (waitingForDns == null || state === 'waiting_for_dns') return lastError;
  return { detail: waitingForDns.detail, issuer: null, step, type: null, at: waitingForDns.since };
}

/** Nobody renews a brought certificate but its owner. */
function unusable(served: StoredRecord<'certificate'>, now: number): LastError {
  const { notBefore, notAfter } = served.value;
  const [what, at] =
    validityOf(served, now) === 'early'
      ? [`is not valid before ${notBefore}; bring one that is`, notBefore]
      : [`expired at ${notAfter}; bring its successor`, notAfter];
  const detail = `the brought certificate ${what} with POST /v1/certificates`;
  return { detail, issuer: broughtIssuer, step: null, type: null, at };
}

function validityOf(
  { value: { notBefore, notAfter } }: StoredRecord<'certificate'>,
  now: number,
): 'early' | 'valid' | 'expired' {
  if (!(Date.parse(notAfter) > now)) return 'expired';
  return Date.parse(notBefore) > now ? 'early' : 'valid';
}

function certificateState(records: HostRecords, fleet: FleetView): State {
  const { order, certificate, brought } = records;
  const valid = validFor(records, fleet.now);
  if (valid !== null)
    return servedBy(fleet.nodes, [valid], fleet.liveNeeds).everywhere ? 'live' : 'deploying';
  if (order === null) return (brought ?? certificate) === null ? 'pending' : 'failed';
  const { step, lastError, dueAt, waitingForDns } = order.value;
  if (waitingForDns != null && step === 'idle') return 'waiting_for_dns';
  // An order that the CA could not go on with keeps its step, and waits like any other that failed.
  if (lastError !== null && dueAt !== null && Date.parse(dueAt) > fleet.now) return 'failed';
  if (step !== 'idle') return 'issuing';
  if (lastError !== null) return 'pending';
  return fleet.nodes.some(({ connected }) => connected) ? 'pending' : 'deploying';
}
