import { writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect as connectPlain } from 'node:net';
import { join } from 'node:path';
import { createSealers, generateSecretKey } from '@lockstep/pki';
import { createSqliteStore } from '@lockstep/store';
import { createLocalhostCertificate, runOpenssl, testFolder, waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t from 'tap';
import { createServer } from '../../src/api/server.ts';
import { unusedParts } from '../../src/openapi/unused-parts.ts';
import { openTlsFiles } from '../../src/startup/tls-files.ts';
import { adminToken, startControlPlane } from '../start-control-plane.ts';

interface Asked {
  ca: string;
  cert?: string;
  key?: string;
}

/** Over a connection of its own: the status of an answer, and the serial number of the certificate. */
function ask(
  url: string,
  tls: Asked,
  path = '/v1/routes',
  servername = 'localhost',
): Promise<{ status: number; serial: string }> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${adminToken}`, host: servername };
    const options = { ...tls, headers, agent: false, servername } as const;
    const sent = request(new URL(path, url), options, (response) => {
      const { serialNumber: serial } = (response.socket as import('node:tls').TLSSocket).getPeerCertificate();
      response.resume().on('end', () => resolve({ status: response.statusCode ?? 0, serial }));
    });
    sent.on('error', reject).end();
  });
}

function write(folder: string, { chain, keyPem }: { chain: string; keyPem: string }) {
  const files = { cert: join(folder, 'api.crt'), key: join(folder, 'api.key'), clientCa: null };
  writeFileSync(files.cert, chain);
  writeFileSync(files.key, keyPem);
  return files;
}

t.test('the API is served over TLS, over every socket it listens on, and not in the clear', async (t) => {
  const folder = testFolder(t);
  const made = await createLocalhostCertificate();
  const { url, address } = await startControlPlane(t, folder, { tls: write(folder, made) });
  t.match(url, /^https:/);
  const answers = await Promise.all(Array.from({ length: 40 }, () => ask(url, { ca: made.rootPem })));
  t.ok(answers.every(({ status }) => status === 200));
  t.equal((await ask(url, { ca: made.rootPem }, '/v1/nothing')).status, 404);
  await t.rejects(ask(url, { ca: (await createLocalhostCertificate()).rootPem }));
  const answer = await new Promise<string>((resolve) => {
    let text = '';
    const socket = connectPlain(address.port, '127.0.0.1', () =>
      socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'),
    );
    socket.on('data', (bytes) => (text += bytes.toString('latin1'))).on('error', () => {});
    socket.on('close', () => resolve(text));
  });
  t.notMatch(answer, /200 OK/);
});

t.test(
  'another certificate in the files is served from the next connection on, and what does not fit is not',
  async (t) => {
    const folder = testFolder(t);
    const [first, second] = [await createLocalhostCertificate(), await createLocalhostCertificate()];
    const lines: string[] = [];
    const log = pino({ level: 'info' }, { write: (line) => lines.push(line) });
    const source = await openTlsFiles(write(folder, first), log, { intervalMs: 10 });
    t.teardown(source.close);
    const unused = {
      system: {},
      access: {},
      adminHosts: [],
      stopping: new AbortController().signal,
      log: null,
    };
    const app = await createServer({
      ...unused,
      tls: source,
      resources: unusedParts.resources,
    } as never);
    await app.listen({ host: '127.0.0.1', port: 0 });
    t.teardown(() => app.close());
    const { port } = app.server.address() as { port: number };
    const url = `https://127.0.0.1:${port}`;
    t.equal((await ask(url, { ca: first.rootPem }, '/healthz')).status, 200);
    writeFileSync(join(folder, 'api.crt'), second.chain);
    await waitFor(() => lines.some((line) => line.includes('is not that of the certificate')), {
      what: 'the log',
    });
    t.equal((await ask(url, { ca: first.rootPem }, '/healthz')).status, 200, 'half of it is not served');
    writeFileSync(join(folder, 'api.key'), second.keyPem);
    await waitFor(() => lines.some((line) => line.includes('has another certificate')), {
      what: 'the new one',
    });
    t.equal((await ask(url, { ca: second.rootPem }, '/healthz')).status, 200);
    t.equal(lines.filter((line) => line.includes('is not that of')).length, 1, 'told once');
  },
);

t.test(
  'with a client CA nobody connects without a certificate of it, and the token is asked for all the same',
  async (t) => {
    const folder = testFolder(t);
    const made = await createLocalhostCertificate();
    const subject = (name: string) => [
      '-subj',
      `/CN=${name}`,
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
    ];
    writeFileSync(join(folder, 'ext'), 'extendedKeyUsage=clientAuth\n');
    async function client(name: string) {
      await runOpenssl(
        folder,
        'req',
        '-x509',
        ...subject(`${name} CA`),
        '-keyout',
        `${name}-ca.key`,
        '-out',
        `${name}-ca.crt`,
        '-days',
        '2',
      );
      await runOpenssl(folder, 'req', ...subject(name), '-keyout', `${name}.key`, '-out', `${name}.csr`);
      await runOpenssl(
        folder,
        'x509',
        '-req',
        '-in',
        `${name}.csr`,
        '-CA',
        `${name}-ca.crt`,
        '-CAkey',
        `${name}-ca.key`,
        '-CAcreateserial',
        '-extfile',
        'ext',
        '-out',
        `${name}.crt`,
        '-days',
        '2',
      );
      const read = async (file: string) =>
        (await runOpenssl(folder, ...(file.endsWith('key') ? ['pkey'] : ['x509']), '-in', file)).stdout;
      return { cert: await read(`${name}.crt`), key: await read(`${name}.key`) };
    }
    const [known, stranger] = [await client('known'), await client('stranger')];
    const tls = { ...write(folder, made), clientCa: join(folder, 'known-ca.crt') };
    const { url } = await startControlPlane(t, folder, { tls, adminTokens: ['another-token-of-the-admin'] });
    t.equal((await ask(url, { ca: made.rootPem, ...known })).status, 401);
    t.equal((await ask(url, { ca: made.rootPem, ...known }, '/healthz')).status, 200);
    await t.rejects(ask(url, { ca: made.rootPem }));
    await t.rejects(ask(url, { ca: made.rootPem, ...stranger }));
  },
);

t.test('files that are none, or do not fit, keep it from starting', async (t) => {
  const folder = testFolder(t);
  const [made, other] = [await createLocalhostCertificate(), await createLocalhostCertificate()];
  const log = pino({ level: 'silent' });
  const files = write(folder, { ...made, keyPem: other.keyPem });
  await t.rejects(openTlsFiles(files, log), {
    code: 'bad_configuration',
    message: /is not that of the certificate/,
  });
  await t.rejects(openTlsFiles({ ...files, key: join(folder, 'none') }, log), {
    message: /--tls-key.*cannot be read/,
  });
  writeFileSync(files.cert, 'nothing');
  await t.rejects(openTlsFiles(files, log), { code: 'bad_configuration', message: /no certificate and key/ });
});

t.test(
  'the certificate of the API’s own name is ordered, served as soon as it is there, renewed, and kept',
  async (t) => {
    const host = 'api.example.com';
    const shared = {
      store: createSqliteStore({ path: ':memory:' }),
      sealers: createSealers(generateSecretKey()),
    };
    const before = await startControlPlane(t, testFolder(t), {}, shared);
    const edgeAddresses = ['203.0.113.7']; // where this name does not lead
    t.equal((await before.call('PATCH', '/v1/settings', { body: { edgeAddresses } })).status, 200);
    await before.close();
    const { url, store, acknowledge, rootCertificate } = await startControlPlane(
      t,
      testFolder(t, { second: {} }),
      { tls: { host } },
      shared,
    );
    const ca = rootCertificate ?? '';
    const served = async () => {
      const { status, serial } = await ask(url, { ca }, '/v1/routes', host);
      t.equal(status, 200, 'its name is one of the server');
      return serial.toLowerCase();
    };
    const first = await served();
    t.equal(
      await store.get('certificate', host),
      null,
      'without an edge none is ordered, and it is reached all the same',
    );
    acknowledge('edge-1');
    const issued = await waitFor(async () => store.get('certificate', host), { what: 'the certificate' });
    const serialOf = (record: typeof issued) => record.value.serialNumber.toLowerCase();
    await waitFor(async () => (await served()) === serialOf(issued), { what: 'it to be served' });
    t.not(serialOf(issued), first);

    const order = (await store.get('order', host))!;
    const value = { ...order.value, unusedSince: order.value.createdAt };
    await store.commit({ id: 'dropped', changes: [{ op: 'put', kind: 'order', id: host, value }] });
    const kept = async () => (await store.get('order', host))?.value.unusedSince === null;
    await waitFor(kept, { what: 'it to be ordered again' });
    await store.commit({
      id: 'gone',
      changes: [
        { op: 'delete', kind: 'order', id: host },
        { op: 'delete', kind: 'certificate', id: host },
      ],
    });
    const another = await waitFor(async () => store.get('certificate', host), { what: 'another one' });
    await waitFor(async () => (await served()) === serialOf(another), { what: 'the other to be served' });
  },
);
