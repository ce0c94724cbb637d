import {
  type BehindNode,
  type CertificateStatus,
  hasReached,
  type NodePresence,
  type RouteStatus,
  type State,
  type StoredRecord,
} from '@lockstep/contract';

export interface HostRecords {
  host: string;
  order: StoredRecord<'order'> | null;
  certificate: StoredRecord<'certificate'> | null;
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
  const needed = [route, ...hosts.flatMap(({ certificate }) => certificate ?? [])];
  const behind = nodesBehind(needed, fleet);
  const certificates = hosts.map((records) => deriveCertificateStatus(records, fleet));
  const complete = certificates.every(({ state }) => state === 'live' || state === 'deploying');
  const deployed = complete && fleet.liveNodes.length > 0 && behind.length === 0;
  const states = [
    ...certificates.map(({ state }) => state),
    deployed ? ('live' as const) : ('deploying' as const),
  ];
  const state = furthestFirst.find((candidate) => states.includes(candidate)) ?? 'pending';
  const reason = explain(state, certificates, behind, fleet);
  return {
    state,
    ...(reason === null ? {} : { reason }),
    certificates,
    dnsRequirements: hosts.flatMap(({ order }) => order?.value.waitingForDns?.requirements ?? []),
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

export function deriveCertificateStatus(
  { host, order, certificate }: HostRecords,
  fleet: FleetView,
): CertificateStatus {
  const value = order?.value;
  return {
    id: order?.id ?? certificate?.id ?? host,
    host,
    state: certificateState({ host, order, certificate }, fleet),
    notAfter: certificate?.value.notAfter ?? null,
    lastError: value?.lastError ?? null,
    nextAttemptAt:
      value !== undefined && value.lastError !== null && value.unusedSince === null ? value.dueAt : null,
  };
}

function certificateState({ order, certificate }: HostRecords, fleet: FleetView): State {
  if (certificate !== null && Date.parse(certificate.value.notAfter) > fleet.now) {
    return fleet.liveNodes.length > 0 && nodesBehind([certificate], fleet).length === 0
      ? 'live'
      : 'deploying';
  }
  if (order === null) return 'pending';
  const { step, lastError, dueAt } = order.value;
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
  certificates: CertificateStatus[],
  behind: BehindNode[],
  fleet: FleetView,
): string | null {
  if (state === 'live') return null;
  if (state === 'failed') {
    const failed = certificates.find((certificate) => certificate.state === 'failed');
    return failed?.lastError?.detail ?? null;
  }
  if (fleet.liveNodes.length === 0) return 'no_live_edges';
  if (state === 'deploying' && behind[0] !== undefined) return `${behind[0].node} ${behind[0].reason}`;
  return null;
}
