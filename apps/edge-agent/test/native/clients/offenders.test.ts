import { connect } from 'node:tls';
import { waitFor } from '@lockstep/testkit';
import t from 'tap';
import { createOffenders } from '../../../src/native/clients/offenders.ts';
import { fetchThrough } from '../../fetch-through.ts';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';

t.test(
  'a client whose connections are cut again and again rests, longer each time, until it is forgiven',
  (t) => {
    let now = 0;
    const settings = { trustedProxies: ['192.0.2.0/24'], proxyProtocolFrom: [] };
    const offenders = createOffenders({ settings: () => settings, now: () => now });
    const cut = (count: number, address: string) => {
      for (let index = 0; index < count; index += 1) offenders.onCut(address);
    };
    const network = '2001:db8:0:0::/64';
    cut(4, '2001:db8::1');
    now = 11_000;
    cut(4, '2001:db8::2');
    t.notOk(offenders.rests(network), 'not for some in a while');
    cut(1, '2001:db8::3');
    t.ok(offenders.rests(network), 'addresses of one /64 are one client');
    t.notOk(offenders.rests('198.51.100.1'), 'nobody else does');
    cut(5, '2001:db8::3');
    now += 10_000;
    t.notOk(offenders.rests(network), 'those that were open already change nothing');
    cut(1, '2001:db8::1');
    now += 19_999;
    t.ok(offenders.rests(network), 'one is enough after a rest');
    now += 1;
    t.notOk(offenders.rests(network));
    now += 400_000;
    cut(1, '2001:db8::1');
    t.notOk(offenders.rests(network), 'it is forgiven');
    cut(50, '192.0.2.7');
    t.notOk(offenders.rests('192.0.2.7'), 'a proxy has many clients');
    t.end();
  },
);

t.test(
  'who resets streams on one connection after another is let in no more; others are served',
  async (t) => {
    const host = 'shop.example.com';
    const edge = await startWorker(t);
    const { url } = await startUpstream(t, (_request, response) => response.end('ok'));
    await edge.applied(await edge.serve('shop', [host], [url]));
    const literal = (name: number, text: string) => Buffer.from([name, text.length, ...Buffer.from(text)]);
    const block = Buffer.concat([Buffer.from([0x82, 0x84, 0x87]), literal(0x01, host)]);
    const parts = [Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])];
    for (let id = 1; id < 1_000; id += 2) {
      const stream = [0, 0, id >> 8, id & 255];
      parts.push(Buffer.from([0, 0, block.length, 1, 5, ...stream]), block);
      parts.push(Buffer.from([0, 0, 4, 3, 0, ...stream, 0, 0, 0, 8]));
    }
    const attack = Buffer.concat(parts);
    const localAddress = '127.0.0.9';
    const { httpsPort: port, root: ca } = edge;
    const at = { host: '127.0.0.1', port, servername: host, ca, localAddress, ALPNProtocols: ['h2'] };
    await waitFor(
      async () => {
        const socket = connect(at).on('error', () => {});
        socket.once('secureConnect', () => socket.write(attack));
        await new Promise((resolve) => socket.resume().once('close', resolve));
        return (edge.worker.figures().cuts.client_rests ?? 0) > 0;
      },
      { what: 'it to be refused' },
    );
    t.ok(edge.worker.figures().cuts.resets! >= 5);
    t.equal((await fetchThrough({ port, host, root: ca })).status, 200);
    await t.rejects(fetchThrough({ port, host, root: ca, localAddress }));
  },
);
