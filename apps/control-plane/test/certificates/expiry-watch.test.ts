import { randomUUID } from 'node:crypto';
import { PassThrough } from 'node:stream';
import { createSqliteStore } from '@lockstep/store';
import { createClock, testFolder, waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t from 'tap';
import { expiresSoonFrom, putCertificate } from '../../src/certificates/certificate-record.ts';
import { createExpiryWatch } from '../../src/certificates/expiry-watch.ts';
import { createChangeHub } from '../../src/changes/change-hub.ts';
import { makeCertificate } from '../brought-certificate.ts';
import { startControlPlane } from '../start-control-plane.ts';

const dayMs = 86_400_000;
const day = (number: number) => new Date(Date.parse('2026-01-01T00:00:00Z') + number * dayMs).toISOString();

t.test('a sixth of the lifetime is soon, and 30 days at most', async (t) => {
  const from = (end: number) =>
    new Date(expiresSoonFrom({ notBefore: day(0), notAfter: day(end) })).toISOString();
  t.equal(from(90), day(75));
  t.equal(from(365), day(335));
  t.equal(from(6), day(5));
});

t.test('counts those that expire soon, and warns of brought ones once a day in all', async (t) => {
  const clock = createClock(Date.parse(day(0)));
  const store = createSqliteStore({ path: ':memory:', now: clock.now });
  await store.open({ create: true, expectedEpoch: null });
  const out = new PassThrough();
  const lines: { certificate: string; msg: string }[] = [];
  out.on('data', (chunk) => lines.push(JSON.parse(String(chunk))));
  const log = pino(out);
  const hub = await createChangeHub({ store, log });
  const watches = [1, 2].map(() => createExpiryWatch({ store, hub, log, now: clock.now }));
  t.teardown(async () => {
    for (const watch of watches) watch.close();
    await hub.close();
    await store.close();
  });
  const put = (id: string, changes: { names?: string[]; issuer: string; notAfter: string }) =>
    store.commit({
      id: randomUUID(),
      changes: [
        putCertificate(id, {
          host: id,
          chain: '',
          sealedKey: '',
          serialNumber: '',
          fingerprint256: '',
          notBefore: day(0),
          issuedAt: day(0),
          ...changes,
        }),
      ],
    });
  const look = async () => {
    for (const watch of watches) await watch.look();
  };
  await put('brought_a', { issuer: 'brought', names: ['a.example.com'], notAfter: day(90) });
  await put('b.example.com', { issuer: 'acme', notAfter: day(90) });
  await put('c.example.com', { issuer: 'acme', notAfter: day(180) });
  await look();
  t.strictSame(watches[0]?.expiring(), { managed: 0, brought: 0 });

  clock.advance(76 * dayMs);
  await look();
  t.strictSame(watches[1]?.expiring(), { managed: 1, brought: 1 });
  await look();
  t.match(lines, [{ certificate: 'brought_a', msg: /expires soon/, names: ['a.example.com'] }]);
  t.equal(lines.length, 1, 'by one of the two, and once');
  clock.advance(dayMs + 1);
  await look();
  t.equal(lines.length, 2, 'and again the next day');
  clock.advance(30 * dayMs);
  await look();
  t.match(lines.at(-1), { msg: /has expired/ });
  await put('b.example.com', { issuer: 'acme', notAfter: day(300) });
  await look();
  t.equal(watches[0]?.expiring().managed, 0, 'a renewed one counts no more');
});

t.test('the metric and the API say it of a brought certificate at once', async (t) => {
  const { call, url } = await startControlPlane(t, testFolder(t));
  const body = await makeCertificate('shop.example.com', { now: Date.now() - 80 * dayMs });
  t.match((await call('POST', '/v1/certificates', { body })).body, { expiresSoon: true });
  await waitFor(
    async () =>
      /lockstep_certificates_expiring\{origin="brought"\} 1/.test(
        await (await fetch(`${url}/metrics`)).text(),
      ),
    { what: 'the count' },
  );
});
