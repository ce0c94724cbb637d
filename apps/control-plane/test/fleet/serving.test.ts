import type { NodePresence, NodeReport, StoredRecord } from '@lockstep/contract';
import { nodeReport } from '@lockstep/testkit';
import t from 'tap';
import { deriveCertificateStatus, type HostRecords } from '../../src/certificates/certificate-status.ts';
import type { FleetView } from '../../src/fleet/fleet.ts';
import { standingOf, whyNotServed } from '../../src/fleet/serving.ts';
import { newOrder } from '../../src/orders/order-record.ts';
import { deriveRouteStatus } from '../../src/routes/route-status.ts';

const now = Date.parse('2026-01-01T00:00:00Z');
const host = 'shop.example.com';
const route = { kind: 'route', id: 'shop', revision: 5, value: { hosts: [host] } } as StoredRecord<'route'>;
const challenge = { kind: 'challenge', id: 'token', revision: 7 } as const;

interface NodeCase {
  state: string;
  report?: Partial<NodeReport>;
  presence?: Partial<NodePresence>;
  /** Of what it serves: nothing where a word is missing. */
  serves: { route: boolean; certificate: boolean; challenge: boolean };
}

const all = { route: true, certificate: true, challenge: true };
const nothing = { route: false, certificate: false, challenge: false };
const refuses = (kind: string, id: string, revision: number) => [
  { kind, id, revision, reason: 'unreadable' },
];

const nodes: NodeCase[] = [
  { state: 'has applied all', serves: all },
  { state: 'has applied more', report: { applied: at(9) }, serves: all },
  { state: 'is one revision behind', report: { applied: at(6) }, serves: { ...nothing, route: true } },
  { state: 'has no configuration', report: { applied: null }, presence: { standing: null }, serves: nothing },
  { state: 'is lost', presence: { live: false }, serves: nothing },
  { state: 'was stopped', presence: { live: false, stopped: true }, serves: nothing },
  {
    state: 'holds back a snapshot',
    report: { held: { revision: at(9), hosts: 9, removed: 8 } },
    serves: nothing,
  },
  { state: 'has a worker that does not beat', report: { workers: { ready: 1, of: 2 } }, serves: nothing },
  {
    state: 'answers no handshake of its own',
    report: { unanswered: 'no answer within 5 s' },
    serves: nothing,
  },
  { state: 'has no worker', report: { workers: { ready: 0, of: 1 } }, serves: nothing },
  {
    state: 'reports what the store does not have',
    report: { applied: at(99) },
    presence: { standing: 'ahead' },
    serves: nothing,
  },
  { state: 'stands on another history', presence: { standing: 'apart' }, serves: nothing },
  { state: 'stands where nobody remembers', presence: { standing: 'unknown' }, serves: nothing },
  {
    state: 'refuses the route',
    report: { refusals: refuses('route', 'shop', 5) },
    serves: { ...all, route: false },
  },
  {
    state: 'refuses the certificate',
    report: { refusals: refuses('certificate', host, 7) },
    serves: { ...all, certificate: false },
  },
  {
    state: 'refuses the challenge',
    report: { refusals: refuses('challenge', 'token', 7) },
    serves: { ...all, challenge: false },
  },
  {
    state: 'refused an earlier certificate',
    report: { refusals: refuses('certificate', host, 6) },
    serves: all,
  },
  {
    state: 'knows no challenges',
    report: { capabilities: { kinds: ['route', 'certificate'] } },
    serves: { ...all, challenge: false },
  },
  {
    state: 'knows no certificates',
    report: { capabilities: { kinds: ['route', 'challenge'] } },
    serves: { ...all, certificate: false },
  },
  { state: 'refuses another route', report: { refusals: refuses('route', 'other', 9) }, serves: all },
];

const certificate = (notBefore: string, notAfter: string) =>
  ({
    kind: 'certificate',
    id: host,
    revision: 7,
    value: { host, notBefore, notAfter },
  }) as StoredRecord<'certificate'>;
const order: StoredRecord<'order'> = { kind: 'order', id: host, revision: 6, value: newOrder(host, now) };
const none: HostRecords = { host, order, certificate: null, brought: null };
const valid = certificate('2025-12-01T00:00:00Z', '2026-03-01T00:00:00Z');

const records: { state: string; hosts: HostRecords[]; servable: boolean }[] = [
  { state: 'a valid certificate', hosts: [{ ...none, certificate: valid }], servable: true },
  { state: 'a brought certificate', hosts: [{ ...none, order: null, brought: valid }], servable: true },
  { state: 'no certificate', hosts: [none], servable: false },
  {
    state: 'no certificate for one of two hosts',
    hosts: [{ ...none, certificate: valid }, none],
    servable: false,
  },
  {
    state: 'an expired certificate',
    hosts: [{ ...none, certificate: certificate('2025-12-01T00:00:00Z', '2025-12-31T23:59:59Z') }],
    servable: false,
  },
  {
    state: 'a certificate that is not valid yet',
    hosts: [{ ...none, certificate: certificate('2026-01-01T00:00:01Z', '2026-03-01T00:00:00Z') }],
    servable: false,
  },
];

function at(number: number) {
  return { epoch: 'e1', number, commitId: `commit ${number}` };
}

function presenceOf({ report, presence }: NodeCase, node = 'a'): NodePresence {
  return {
    report: nodeReport(node, { applied: at(7), ...report }),
    seenAt: now,
    live: true,
    stopped: false,
    standing: 'on',
    ...presence,
  };
}

function viewOf(liveNeeds: FleetView['liveNeeds'], ...presences: NodePresence[]): FleetView {
  return {
    epoch: 'e1',
    nodes: presences.map(standingOf),
    drained: [],
    liveNeeds,
    defaults: {},
    now,
    edgeAddresses: [],
    fleetAddresses: {},
    issuesNothing: null,
  };
}

const well = presenceOf({ state: 'well', serves: all }, 'well');

for (const nodeCase of nodes) {
  const { state, serves } = nodeCase;
  t.test(`a node that ${state} makes live what it serves, and nothing else`, async (t) => {
    const presence = presenceOf(nodeCase);
    for (const record of records) {
      const alone = deriveRouteStatus(route, record.hosts, viewOf('connected', presence)).status;
      const isLive = record.servable && serves.route && serves.certificate;
      t.equal(alone.state === 'live', isLive, `with ${record.state}, alone`);
      t.equal(alone.nodes.live > 0 && record.servable, isLive, `with ${record.state}, counted`);

      const beside = deriveRouteStatus(route, record.hosts, viewOf('connected', presence, well)).status;
      t.equal(
        beside.state === 'live',
        record.servable && (isLive || !presence.live),
        `with ${record.state}, beside a node that is well`,
      );
      const expected = deriveRouteStatus(route, record.hosts, viewOf('expected', presence, well)).status;
      t.equal(expected.state === 'live', isLive, `with ${record.state}, where all expected nodes are needed`);
      t.equal(
        expected.nodes.behind.some(({ node }) => node === 'a') || !record.servable,
        !isLive || !record.servable,
        `with ${record.state}, named`,
      );

      const [first] = record.hosts;
      const status = first && deriveCertificateStatus(first, viewOf('connected', presence));
      if (record.hosts.length === 1)
        t.equal(status?.state === 'live', record.servable && serves.certificate, `${record.state} by itself`);
    }
    const placed = presence.live && whyNotServed(standingOf(presence), [challenge]) === null;
    t.equal(placed, serves.challenge, 'a challenge');
  });
}
