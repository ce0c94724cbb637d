import {
  type BehindNode,
  broughtIssuer,
  type CertificateStatus,
  hasReached,
  type LastError,
  type NodePresence,
  type OrderRecord,
  type RouteStatus,
  type State,
  type StoredRecord,
} from '@lockstep/contract';

export interface HostRecords {
  host: string;
  order: StoredRecord<'order'> | null;
  certificate: StoredRecord<'certificate'> | null;
  /** The valid brought certificate that edges serve for the host, before any managed one. */
  brought: StoredRecord<'certificate'> | null;
}

export interface FleetView {
  epoch: string;
  liveNodes: NodePresence[];
  /** Milliseconds since 1970: an expired certificate does not count as one. */
  now: number;
}

// The state of a route is that of the host which is furthest from live.
const furthestFirst: State[] = ['failed', 'waiting_for_dns', 'pending', 'issuing', 'deploying', 'live'];

/** What is true of a route, worked out from its records and the last reports of the live nodes. */
export function deriveRouteStatus(
  route: StoredRecord<'route'>,
  hosts: HostRecords[],
  fleet: FleetView,
): RouteStatus {
  const needed = [route, ...hosts.flatMap(({ certificate, brought }) => brought ?? certificate ?? [])];
  const behind = nodesBehind(needed, fleet);
  const certificates = hosts.map((records) => deriveCertificateStatus(records, fleet));
  const complete = certificates.every(({ state }) => state === 'live' || state === 'deploying');
  const deployed = complete && fleet.liveNodes.length > 0 && behind.length === 0;
  const states = [
    ...certificates.map(({ state }) => state),
    deployed ? ('live' as const) : ('deploying' as const),
  ];
  const state = furthestFirst.find((candidate) => states.includes(candidate)) ?? 'pending';
  const reason = explain(state, hosts, certificates, behind, fleet);
  return {
    state,
    ...(reason === null ? {} : { reason }),
    certificates,
    dnsRequirements: hosts.flatMap((records, index) =>
      certificates[index]?.state === 'waiting_for_dns'
        ? (records.order?.value.waitingForDns?.requirements ?? [])
        : [],
    ),
    nodes: {
      live: complete ? fleet.liveNodes.length - behind.length : 0,
      of: fleet.liveNodes.length,
      behind: complete
        ? behind
        : fleet.liveNodes
            .filter(({ report }) => report.held !== null)
            .map(behindNode('holds back a snapshot')),
    },
  };
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
      unmanaged && state === 'failed' ? expired(served) : value === undefined ? null : errorOf(value, state),
    nextAttemptAt: waits && value.unusedSince === null ? value.dueAt : null,
  };
}

/** What keeps a renewal back is told too, where the state does not tell it: that of a route that is served is `live`. */
function errorOf({ lastError, waitingForDns, step }: OrderRecord, state: State): LastError | null {
  if (waitingForDns == null || state === 'waiting_for_dns') return lastError;
  return { detail: waitingForDns.detail, issuer: null, step, type: null, at: waitingForDns.since };
}

/** Nobody renews a brought certificate but its owner. */
function expired({ value: { notAfter } }: StoredRecord<'certificate'>): LastError {
  const detail = `the brought certificate expired at ${notAfter}; bring its successor with POST /v1/certificates`;
  return { detail, issuer: broughtIssuer, step: null, type: null, at: notAfter };
}

function certificateState({ order, certificate, brought }: HostRecords, fleet: FleetView): State {
  const served = brought ?? certificate;
  if (served !== null && Date.parse(served.value.notAfter) > fleet.now) {
    return fleet.liveNodes.length > 0 && nodesBehind([served], fleet).length === 0 ? 'live' : 'deploying';
  }
  if (order === null) return served === null ? 'pending' : 'failed';
  const { step, lastError, dueAt, waitingForDns } = order.value;
  if (waitingForDns != null && step === 'idle') return 'waiting_for_dns';
  // An order that the CA could not go on with keeps its step, and waits like any other that failed.
  if (lastError !== null && dueAt !== null && Date.parse(dueAt) > fleet.now) return 'failed';
  if (step !== 'idle') return 'issuing';
  if (lastError !== null) return 'pending';
  return fleet.liveNodes.length === 0 ? 'deploying' : 'pending';
}

function nodesBehind(needed: StoredRecord[], fleet: FleetView): BehindNode[] {
  const number = Math.max(...needed.map(({ revision }) => revision));
  return fleet.liveNodes.flatMap((presence) => {
    const { report } = presence;
    const refusal = report.refusals.find(({ kind, id, revision }) =>
      needed.some((record) => record.kind === kind && record.id === id && record.revision <= revision),
    );
    if (refusal !== undefined)
      return behindNode(`refused ${refusal.kind} ${refusal.id}: ${refusal.reason}`)(presence);
    if (hasReached(report.applied, { epoch: fleet.epoch, number })) return [];
    return behindNode(report.held === null ? 'has not applied this revision yet' : 'holds back a snapshot')(
      presence,
    );
  });
}

const behindNode = (reason: string) => (presence: NodePresence) => ({ node: presence.report.node, reason });

function explain(
  state: State,
  hosts: HostRecords[],
  certificates: CertificateStatus[],
  behind: BehindNode[],
  fleet: FleetView,
): string | null {
  if (state === 'live') return null;
  if (state === 'failed') {
    const failed = certificates.find((certificate) => certificate.state === 'failed');
    return failed?.lastError?.detail ?? null;
  }
  if (state === 'waiting_for_dns') {
    const waiting = certificates.findIndex((certificate) => certificate.state === 'waiting_for_dns');
    return hosts[waiting]?.order?.value.waitingForDns?.detail ?? null;
  }
  if (fleet.liveNodes.length === 0) return 'no_live_edges';
  if (state === 'deploying' && behind[0] !== undefined) return `${behind[0].node} ${behind[0].reason}`;
  return null;
}
