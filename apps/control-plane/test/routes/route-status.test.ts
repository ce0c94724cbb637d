import type { NodePresence, NodeReport, OrderRecord, StoredRecord } from '@lockstep/contract';
import { nodeReport } from '@lockstep/testkit';
import t from 'tap';
import type { HostRecords } from '../../src/certificates/certificate-status.ts';
import type { FleetView } from '../../src/fleet/fleet.ts';
import { standingOf } from '../../src/fleet/serving.ts';
import { newOrder } from '../../src/orders/order-record.ts';
import { deriveRouteStatus as derive } from '../../src/routes/route-status.ts';
import { seenAddresses } from '../seen-dns.ts';

const epoch = 'e1';
const now = Date.parse('2026-01-01T00:00:00Z');
const host = 'shop.example.com';
const route: StoredRecord<'route'> = {
  kind: 'route',
  id: 'shop',
  revision: 5,
  value: {
    hosts: [host],
    paths: ['/'],
    upstreams: [{ url: 'http://127.0.0.1:3000' }],
    createdAt: '',
    updatedAt: '',
  },
};

function node(name: string, number: number, changes: Partial<NodeReport> = {}): NodePresence {
  const applied = { epoch, number, commitId: `commit ${number}` };
  const report = nodeReport(name, { applied, ...changes });
  return { report, seenAt: now, live: true, stopped: false, standing: 'on' };
}

function records(
  order: Partial<OrderRecord>,
  certificate: { revision: number; notAfter?: string } | null,
): HostRecords {
  return {
    host,
    brought: null,
    order: { kind: 'order', id: host, revision: 6, value: { ...newOrder(host, now), ...order } },
    certificate: certificate && {
      kind: 'certificate',
      id: host,
      revision: certificate.revision,
      value: {
        host,
        issuer: 'internal',
        chain: '',
        sealedKey: '',
        serialNumber: '',
        fingerprint256: '',
        notBefore: '2025-12-01T00:00:00Z',
        notAfter: certificate.notAfter ?? '2026-03-01T00:00:00Z',
        issuedAt: '',
      },
    },
  };
}

const fleet = (...nodes: NodePresence[]): FleetView => ({
  epoch: 'e1',
  nodes: nodes.map(standingOf),
  drained: [],
  liveNeeds: 'connected',
  defaults: {},
  now,
  edgeAddresses: [],
  fleetAddresses: {},
  issuesNothing: null,
});
const deriveRouteStatus = (...args: Parameters<typeof derive>) => derive(...args).status;
const lost = (presence: NodePresence): NodePresence => ({ ...presence, live: false, seenAt: now - 60_000 });
const failure = {
  detail: 'the CA refused',
  issuer: 'acme',
  step: 'validating',
  type: null,
  at: '2026-01-01T00:00:00Z',
};
const issued = records({ dueAt: null }, { revision: 7 });

t.test('is live when every live node has applied the route and its certificate', async (t) => {
  t.match(deriveRouteStatus(route, [issued], fleet(node('a', 7), node('b', 9))), {
    state: 'live',
    nodes: { live: 2, of: 2, behind: [] },
  });
});

t.test('is deploying while one node has not, and names it', async (t) => {
  t.match(deriveRouteStatus(route, [issued], fleet(node('a', 7), node('b', 6))), {
    state: 'deploying',
    reason: /^b has not applied/,
    nodes: { live: 1, of: 2, behind: [{ node: 'b' }] },
  });
});

t.test(
  'a lost node is named, is expected, and keeps a route from live where the settings say so',
  async (t) => {
    const view = fleet(node('a', 7), lost(node('b', 7)));
    const nodes = {
      live: 1,
      of: 1,
      expected: 2,
      lost: ['b'],
      behind: [{ node: 'b', reason: 'is lost: not heard of since 2025-12-31T23:59:00.000Z' }],
    };
    t.match(deriveRouteStatus(route, [issued], view), { state: 'live', nodes });
    t.match(deriveRouteStatus(route, [issued], { ...view, liveNeeds: 'expected' }), {
      state: 'deploying',
      reason: /^b is lost/,
      certificates: [{ state: 'deploying' }],
      nodes,
    });
    t.match(deriveRouteStatus(route, [issued], fleet(lost(node('a', 7)))), {
      state: 'deploying',
      reason: 'no_live_edges',
      nodes: { live: 0, of: 0, expected: 1, lost: ['a'] },
    });
  },
);

t.test('the host that is served counts its nodes while another host of the route waits', async (t) => {
  const waiting = records({ lastError: failure, dueAt: '2026-01-01T01:00:00Z' }, null);
  t.match(deriveRouteStatus(route, [issued, waiting], fleet(node('a', 9), node('b', 6))), {
    state: 'failed',
    nodes: { live: 1, of: 2, behind: [{ node: 'b', reason: /not applied/ }] },
  });
});

t.test('is settled when each host is, and what can be served is', async (t) => {
  const { settled } = derive(route, [issued], fleet(node('a', 7)));
  t.equal(settled, true);
  const failed = records({ lastError: failure, dueAt: '2026-01-01T01:00:00Z' }, null);
  const issuing = records({ step: 'placed' }, null);
  const isSettled = (hosts: HostRecords[], ...nodes: NodePresence[]) =>
    derive(route, hosts, fleet(...nodes)).settled;
  t.equal(isSettled([failed], node('a', 5)), true);
  t.equal(isSettled([failed, issuing], node('a', 5)), false, 'the other host may still become live');
  t.equal(isSettled([failed, issued], node('a', 6)), false, 'its certificate is on its way to the nodes');
  t.equal(isSettled([failed, issued], node('a', 7)), true);
  t.equal(isSettled([failed, issued]), false, 'nobody serves it yet');
});

t.test('a certificate that is not valid yet is none', async (t) => {
  const { certificate, ...rest } = records({ dueAt: '2026-06-01T00:00:00Z' }, { revision: 7 });
  if (certificate === null) throw new Error('no certificate');
  certificate.value.notBefore = '2026-02-01T00:00:00Z';
  t.match(deriveRouteStatus(route, [{ ...rest, certificate }], fleet(node('a', 7))), {
    state: 'pending',
    reason: /^the certificate is not valid before 2026-02-01T00:00:00Z; POST/,
    certificates: [{ state: 'pending' }],
    nodes: { live: 0 },
  });
});

t.test('a control plane that issues nothing says so of what waits for it', async (t) => {
  const issuesNothing = 'the clock is wrong';
  t.match(deriveRouteStatus(route, [records({}, null)], { ...fleet(node('a', 5)), issuesNothing }), {
    state: 'pending',
    reason: issuesNothing,
  });
});

t.test(
  'a node that refused the certificate, or holds back a snapshot, is behind whatever it has applied',
  async (t) => {
    const refusing = node('a', 9, {
      refusals: [{ kind: 'certificate', id: host, revision: 7, reason: 'no' }],
    });
    const holding = node('b', 3, { held: { revision: { epoch, number: 9 }, hosts: 9, removed: 8 } });
    t.match(deriveRouteStatus(route, [issued], fleet(refusing, holding)).nodes.behind, [
      { node: 'a', reason: /refused/ },
      { node: 'b', reason: /holds back/ },
    ]);
    const outlived = node('a', 9, {
      refusals: [{ kind: 'certificate', id: host, revision: 6, reason: 'no' }],
    });
    t.equal(
      deriveRouteStatus(route, [issued], fleet(outlived)).state,
      'live',
      'a refusal of an older revision is over',
    );
  },
);

t.test('follows the order to the certificate', async (t) => {
  const state = (host: HostRecords, ...nodes: NodePresence[]) =>
    deriveRouteStatus(route, [host], fleet(...nodes)).state;
  t.equal(state(records({}, null), node('a', 5)), 'pending');
  t.equal(state(records({ step: 'placed' }, null), node('a', 5)), 'issuing');
  const waiting = { lastError: failure, dueAt: '2026-01-01T00:01:00Z' };
  t.equal(state(records(waiting, null), node('a', 5)), 'failed');
  t.equal(
    state(records({ ...waiting, step: 'validating' }, null), node('a', 5)),
    'failed',
    'an order that waits to be resumed',
  );
  t.equal(
    state(records({ lastError: failure, step: 'ordered' }, null), node('a', 5)),
    'issuing',
    'the next attempt is under way',
  );
  t.match(deriveRouteStatus(route, [records({}, null)], fleet()), {
    state: 'deploying',
    reason: 'no_live_edges',
  });
});

t.test('a failed renewal leaves the route live, with the error and the next date', async (t) => {
  const failing = records({ lastError: failure, dueAt: '2026-01-01T01:00:00Z' }, { revision: 7 });
  const status = deriveRouteStatus(route, [failing], fleet(node('a', 7)));
  t.match(status, {
    state: 'live',
    certificates: [{ state: 'live', lastError: failure, nextAttemptAt: '2026-01-01T01:00:00Z' }],
  });
});

t.test('an expired certificate is none', async (t) => {
  const expired = records(
    { lastError: failure, dueAt: '2026-01-01T01:00:00Z' },
    { revision: 7, notAfter: '2025-12-31T23:59:59Z' },
  );
  t.equal(deriveRouteStatus(route, [expired], fleet(node('a', 7))).state, 'failed');
});

t.test('the state of a route is that of its host furthest from live', async (t) => {
  const statuses = deriveRouteStatus(
    route,
    [issued, records({ lastError: failure, dueAt: '2026-01-01T01:00:00Z' }, null)],
    fleet(node('a', 9)),
  );
  t.match(statuses, { state: 'failed', reason: 'the CA refused' });
});

t.test(
  'waits for the DNS only while there is no valid certificate; a renewal that does is told of beside it',
  async (t) => {
    const requirement = { host, type: 'A' as const, name: host, value: '203.0.113.7', found: [], ok: false };
    const led = (...nodes: NodePresence[]) => ({ ...fleet(...nodes), edgeAddresses: ['203.0.113.7'] });
    const waiting = {
      dueAt: '2026-01-01T00:01:00Z',
      lastError: failure,
      waitingForDns: {
        since: '2026-01-01T00:00:00Z',
        checks: 1,
        detail: 'leads nowhere',
      },
      seenDns: seenAddresses(),
    };
    t.match(deriveRouteStatus(route, [records(waiting, null)], led(node('a', 9))), {
      state: 'waiting_for_dns',
      reason: 'leads nowhere',
      dnsRequirements: [requirement],
      certificates: [{ nextAttemptAt: '2026-01-01T00:01:00Z' }],
    });
    const renewing = deriveRouteStatus(route, [records(waiting, { revision: 7 })], led(node('a', 9)));
    t.match(renewing, {
      state: 'live',
      dnsRequirements: [requirement],
      certificates: [
        {
          state: 'live',
          lastError: { detail: 'leads nowhere', issuer: null, at: '2026-01-01T00:00:00Z' },
          nextAttemptAt: '2026-01-01T00:01:00Z',
        },
      ],
    });
  },
);

t.test('a brought certificate makes a host live, and hides what the managed one waits for', async (t) => {
  const { certificate } = records({}, { revision: 8 });
  const value = certificate && { ...certificate.value, issuer: 'brought', names: [host] };
  const brought = certificate && value && { ...certificate, id: 'brought_1', value };
  const failing = { ...records({ lastError: failure, dueAt: '2026-01-01T01:00:00Z' }, null), brought };
  t.match(deriveRouteStatus(route, [failing], fleet(node('a', 8))), {
    state: 'live',
    certificates: [{ id: 'brought_1', state: 'live', lastError: null, nextAttemptAt: null }],
  });
  t.match(deriveRouteStatus(route, [failing], fleet(node('a', 7))), { state: 'deploying' });
});

t.test('a node that is behind because it cannot follow, or is still being told, says so', async (t) => {
  const since = '2026-01-01T00:00:00.000Z';
  const broken = node('a', 6, {
    feed: { state: 'broken', since, detail: 'no route to host', records: null },
  });
  const syncing = node('b', 0, {
    applied: null,
    feed: { state: 'syncing', since, detail: null, records: 1_200 },
  });
  t.match(deriveRouteStatus(route, [issued], fleet(broken, syncing)).nodes.behind, [
    {
      node: 'a',
      reason: `has not applied this revision yet; it cannot follow the store since ${since}: no route to host`,
    },
    {
      node: 'b',
      reason: 'has no whole configuration yet; a whole configuration is on its way, 1200 records so far',
    },
  ]);
});
