import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { createBoundary, defaultEdgeSettings } from '@lockstep/contract';
import { pino } from 'pino';
import t from 'tap';
import { createConnectionLimits } from '../../../src/native/clients/connection-limits.ts';
import { createIncidents, cutReasons } from '../../../src/native/clients/incidents.ts';
import { requestRefusals } from '../../../src/server/request-refusal.ts';

const docs = readFileSync(new URL('../../../../../docs/edge-requests.md', import.meta.url), 'utf8');

t.test(
  'the docs list every reason for which a request is refused, with its status, and for which a connection is cut',
  async (t) => {
    for (const [reason, { status }] of Object.entries(requestRefusals)) {
      t.ok(docs.includes(`\n| \`${reason}\` | ${status} | `), reason);
    }
    for (const reason of cutReasons) t.ok(docs.includes(`\n| \`${reason}\` | `), reason);
  },
);

t.test('of each kind one line a minute is logged, with how many there were since', async (t) => {
  const lines: Record<string, unknown>[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  let now = 0;
  const incidents = createIncidents(log, createBoundary(log), () => now);
  for (let i = 0; i < 1_000; i += 1) incidents.onRefused('bad_host', 'the port is none');
  incidents.onCut('resets');
  now = 61_000;
  incidents.onRefused('bad_host');
  t.match(lines, [
    { reason: 'bad_host', detail: 'the port is none', unlogged: 0 },
    { reason: 'resets', unlogged: 0 },
    { reason: 'bad_host', unlogged: 999 },
  ]);
  t.equal(lines.length, 3);
  t.same([incidents.refused, incidents.cut], [{ bad_host: 1_001 }, { resets: 1 }]);
});

t.test('connections are limited in all, by client, and to half of the descriptors', async (t) => {
  const socketOf = (remoteAddress: string) =>
    Object.assign(new EventEmitter(), { remoteAddress, destroy() {} }) as unknown as Socket;
  const refused: string[] = [];
  const of = (limits: { connections?: number; connectionsPerClient?: number }, maxDescriptors = 100_000) =>
    createConnectionLimits({
      limits: () => ({ ...defaultEdgeSettings.limits, ...limits }),
      onRefused: (reason) => refused.push(reason),
      maxDescriptors,
    });
  const byClient = of({ connectionsPerClient: 2 });
  const first = socketOf('2001:db8::1');
  t.ok(byClient.admit(first));
  t.ok(byClient.admit(socketOf('2001:db8::2')));
  t.notOk(byClient.admit(socketOf('2001:db8::3')), 'addresses of one /64 are one client');
  t.ok(byClient.admit(socketOf('192.0.2.1')));
  first.emit('close');
  t.ok(byClient.admit(socketOf('2001:db8::3')));
  const inAll = of({ connections: 1 });
  t.ok(inAll.admit(socketOf('192.0.2.1')));
  t.notOk(inAll.admit(socketOf('192.0.2.2')));
  const scarce = of({}, 256);
  const admitted = Array.from({ length: 200 }, (_, i) => scarce.admit(socketOf(`192.0.2.${i}`)));
  t.equal(admitted.filter(Boolean).length, 96);
  t.same([...new Set(refused)], ['too_many_of_client', 'too_many_connections']);
});
