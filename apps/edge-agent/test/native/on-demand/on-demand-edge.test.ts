import { testFolder, waitFor } from '@lockstep/testkit';
import t from 'tap';
import { createConfiguredStore } from '../../configured-store.ts';
import { connectTls } from '../../connect-tls.ts';
import { appliedAt, startTestEdge } from '../../start-test-edge.ts';

t.test('an edge fed over IPC asks the control plane, and heeds its word', async (t) => {
  const configured = await createConfiguredStore();
  const { store, root } = configured;
  const { addresses } = await startTestEdge(t, configured, { dataDir: testFolder(t), workers: 2 });
  const settings = configured.settingsChange({ perClientPerMinute: 3 });
  await appliedAt(configured, (await configured.commit(settings)).number);
  const asked: string[] = [];
  store.watchHints((hint) => {
    if (hint.hint === 'ask') asked.push(`${hint.host} ${hint.node}`);
  });
  const open = (servername: string) => connectTls(addresses.https.port, { servername, ca: root });
  const unrecognized = { code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' };
  const metrics = async () => (await fetch(`http://127.0.0.1:${addresses.admin.port}/metrics`)).text();

  const opening = Promise.all(Array.from({ length: 50 }, () => open('good.example.com')));
  await waitFor(async () => (await metrics()).includes('lockstep_edge_held_handshakes 50'), {
    what: 'all handshakes to be held',
  });
  await waitFor(() => asked[0] === 'good.example.com edge-1', { what: 'the question' });
  const late = asked.length;
  t.ok(late < 10, `asked once a second, not once a handshake: ${late}`);
  await store.sendHint({
    hint: 'verdict',
    host: 'good.example.com',
    allowed: true,
    until: Date.now() + 60_000,
  });
  const value = await configured.certificateRecord('good.example.com');
  await configured.commit({ op: 'put', kind: 'certificate', id: 'good.example.com', value });
  for (const socket of await opening) socket.destroy();

  const refused = t.rejects(open('bad.example.com'), unrecognized);
  await waitFor(() => asked.includes('bad.example.com edge-1'), { what: 'the other host to be asked about' });
  await store.sendHint({
    hint: 'verdict',
    host: 'bad.example.com',
    allowed: false,
    until: Date.now() + 60_000,
  });
  await refused;
  asked.length = 0;
  await t.rejects(open('bad.example.com'), unrecognized, 'remembered');
  const third = t.rejects(open('third.example.com'), unrecognized);
  await waitFor(() => asked.includes('third.example.com edge-1'), {
    what: 'the third host to be asked about',
  });
  await t.rejects(open('fourth.example.com'), unrecognized, 'one more than a client may ask for');
  t.notOk(asked.some((one) => /^(bad|fourth)/.test(one)));
  await store.sendHint({
    hint: 'verdict',
    host: 'third.example.com',
    allowed: false,
    until: Date.now() + 60_000,
  });
  await third;

  const text = await metrics();
  t.match(text, 'lockstep_edge_held_handshakes 0');
  t.match(text, 'lockstep_edge_on_demand_asks_total{outcome="allowed"} 1');
  t.match(text, 'lockstep_edge_on_demand_asks_total{outcome="refused"} 2');
  t.match(text, 'lockstep_edge_on_demand_asks_total{outcome="refused_before"} 1');
  t.match(text, 'lockstep_edge_on_demand_asks_total{outcome="limited"} 1');
});
