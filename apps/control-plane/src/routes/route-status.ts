import type { CertificateStatus, RouteStatus, State, StoredRecord } from '@lockstep/contract';
import { deriveCertificateStatus, type HostRecords, validFor } from '../certificates/certificate-status.ts';
import { hostRequirements } from '../dns/host-requirements.ts';
import type { FleetView } from '../fleet/fleet.ts';
import { type Served, servedBy } from '../fleet/serving.ts';
import { unhealthyUpstreams } from './unhealthy-upstreams.ts';

export interface DerivedStatus {
  status: RouteStatus;
  /** Nothing more comes of waiting a while: live, or each host is live, failed or waits for the DNS, and served as far as it can be. */
  settled: boolean;
}

// The state of a route is that of the host which is furthest from live.
const furthestFirst: State[] = [
  'failed',
  'waiting_for_ownership',
  'waiting_for_dns',
  'pending',
  'issuing',
  'deploying',
  'live',
];
const ended: ReadonlySet<State> = new Set(['failed', 'waiting_for_dns', 'live']);

/** What is true of a route, worked out from its records and the last reports of the expected nodes. */
export function deriveRouteStatus(
  route: StoredRecord<'route'>,
  all: HostRecords[],
  fleet: FleetView,
): DerivedStatus {
  const hosts = all.filter(({ waits }) => waits !== true);
  const waiting = all.filter(({ waits }) => waits === true);
  const certificates = hosts.map((records) => deriveCertificateStatus(records, fleet));
  const valid = hosts.flatMap((records) => validFor(records, fleet.now) ?? []);
  // Where no host has a certificate, nobody serves anything; who could not is told all the same.
  const served = servedBy(fleet.nodes, valid.length === 0 ? [] : [route, ...valid], fleet.liveNeeds);
  const deployed = valid.length > 0 && served.everywhere;
  /** Its certificate's, and where that is live, whether the route is at the edges too. */
  const hostState = (index: number): State => {
    const of = certificates[index]?.state ?? 'pending';
    const records = of === 'live' && !deployed ? validFor(hosts[index]!, fleet.now) : null;
    if (records === null) return of;
    return servedBy(fleet.nodes, [route, records], fleet.liveNeeds).everywhere ? 'live' : 'deploying';
  };
  const states = [
    ...certificates.map(({ state }) => state),
    ...waiting.map(() => 'waiting_for_ownership' as const),
    deployed ? ('live' as const) : ('deploying' as const),
  ];
  const state = furthestFirst.find((candidate) => states.includes(candidate)) ?? 'pending';
  const alone =
    state === 'waiting_for_ownership'
      ? reasonOfWaiting(waiting)
      : explain(state, hosts, certificates, served, fleet);
  const held = certificates.find((one) => one.state === state)?.host ?? waiting[0]?.host;
  const reason = alone === null ? null : besideLive(alone, held, certificates, all.length);
  const status: RouteStatus = {
    state,
    ...(reason === null ? {} : { reason }),
    ...lastOf(hosts),
    hosts: all.map((records) => ({
      host: records.host,
      state: records.waits === true ? 'waiting_for_ownership' : hostState(hosts.indexOf(records)),
    })),
    certificates,
    dnsRequirements: all.flatMap(({ host, order, ownership }) =>
      hostRequirements(host, order?.value.seenDns ?? null, {
        edgeAddresses: fleet.edgeAddresses,
        fleet: fleet.fleetAddresses,
        proxied: route.value.dns?.proxiedBy !== undefined,
        ownership: ownership?.value.requirements,
      }),
    ),
    nodes: {
      live: valid.length === 0 ? 0 : served.live,
      ...countNodes(fleet),
      behind: served.behind,
    },
    ...unhealthyUpstreams(route, fleet),
  };
  return {
    status,
    settled:
      certificates.every((one) => ended.has(one.state)) &&
      waiting.every(wasLookedAt) &&
      (valid.length === 0 || deployed),
  };
}

/** Whether nothing more comes of waiting a moment for a host that waits for a proof. */
export function wasLookedAt({ ownership }: HostRecords): boolean {
  return (ownership?.value.checks ?? 0) > 0;
}

function reasonOfWaiting(waiting: HostRecords[]): string | null {
  const [first] = waiting;
  if (first === undefined) return null;
  const detail = first.ownership?.value.detail ?? '';
  return detail === '' ? `it is being looked at whether ${first.host} is proven to be yours` : detail;
}

/** How many nodes there are, and which are missing. */
export function countNodes({ nodes }: FleetView): Pick<RouteStatus['nodes'], 'of' | 'expected' | 'lost'> {
  const lost = nodes.filter(({ connected }) => !connected).map(({ node }) => node);
  return { of: nodes.length - lost.length, expected: nodes.length, lost };
}

function explain(
  state: State,
  hosts: HostRecords[],
  certificates: CertificateStatus[],
  { behind }: Served,
  fleet: FleetView,
): string | null {
  if (state === 'live') return null;
  const at = certificates.findIndex((certificate) => certificate.state === state);
  if (state === 'failed') return certificates[at]?.lastError?.detail ?? null;
  if (state === 'waiting_for_dns') return hosts[at]?.order?.value.waitingForDns?.detail ?? null;
  if (!fleet.nodes.some(({ connected }) => connected)) return 'no_live_edges';
  if (state === 'pending') return fleet.issuesNothing ?? notYetValid(hosts[at], fleet);
  if (state === 'deploying' && behind[0] !== undefined) return `${behind[0].node} ${behind[0].reason}`;
  return null;
}

/** Of a route that is served for some of its hosts, whom the reason is about. */
function besideLive(
  reason: string,
  held: string | undefined,
  certificates: CertificateStatus[],
  hosts: number,
): string {
  const live = certificates.filter((one) => one.state === 'live').length;
  if (live === 0 || held === undefined || reason === 'no_live_edges') return reason;
  return `${held}: ${reason} (${live} of ${hosts} hosts have what they need)`;
}

function notYetValid(records: HostRecords | undefined, fleet: FleetView): string | null {
  const { id, value } = records?.certificate ?? {};
  if (value === undefined || !(Date.parse(value.notBefore) > fleet.now)) return null;
  return `the certificate is not valid before ${value.notBefore}; POST /v1/certificates/${id}/renew obtains another`;
}

/** The route is live when its last host is. */
function lastOf(hosts: HostRecords[]): Pick<RouteStatus, 'queue'> {
  const waiting = hosts.flatMap(({ queue, brought }) => (brought === null ? (queue ?? []) : []));
  if (waiting.length === 0) return {};
  return { queue: waiting.reduce((a, b) => (b.position > a.position ? b : a)) };
}
