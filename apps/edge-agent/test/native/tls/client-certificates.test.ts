import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { connect as connectH2 } from 'node:http2';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { ConnectionOptions } from 'node:tls';
import type { RouteRecord } from '@lockstep/contract';
import { runOpenssl } from '@lockstep/testkit';
import t from 'tap';
import { compileClientCertificates } from '../../../src/native/clients/client-certificates.ts';
import { connectTls, tlsVersions } from '../../connect-tls.ts';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';

const host = 'mtls.example.com';
const folder = t.testdir({
  client: 'extendedKeyUsage=clientAuth\n',
  server: 'extendedKeyUsage=serverAuth\n',
  between: 'basicConstraints=critical,CA:TRUE\n',
});
const openssl = (args: string) => runOpenssl(folder, ...args.split(' '));
const read = (name: string) => readFileSync(join(folder, name), 'utf8');

async function makeRoot(name: string): Promise<void> {
  await openssl(
    `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ${name}.key -out ${name}.pem -days 30 -subj /CN=${name}`,
  );
}

/** What a client shows: a certificate of this issuer. */
async function issue(name: string, issuer: string, use = 'client', days = 10): Promise<ConnectionOptions> {
  await openssl(
    `req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ${name}.key -out ${name}.csr -subj /CN=${name}`,
  );
  await openssl(
    `x509 -req -in ${name}.csr -CA ${issuer}.pem -CAkey ${issuer}.key -CAcreateserial -out ${name}.pem -days ${days} -extfile ${use}`,
  );
  return { cert: read(`${name}.pem`), key: read(`${name}.key`) };
}

for (const name of ['one', 'two']) await makeRoot(name);
const [ann, bob, server] = [
  await issue('ann', 'one'),
  await issue('bob', 'two'),
  await issue('server', 'one', 'server'),
];
await issue('between', 'one', 'between');
const carl = await issue('carl', 'between');
const [one, two] = [read('one.pem'), read('two.pem')];
writeFileSync(join(folder, 'chain.pem'), `${carl.cert}${read('between.pem')}`);

interface Asked extends ConnectionOptions {
  /** In place of the server name. */
  asked?: string;
  path?: string | undefined;
}

/** What comes back of a request: its status and what the upstream received; null where the handshake ends. */
async function ask(port: number, { path = '/', ...options }: Asked) {
  try {
    const socket = await connectTls(port, { rejectUnauthorized: false, ...options });
    const reused = socket.isSessionReused();
    let session = socket.getSession();
    socket.on('session', (ticket) => {
      session = ticket;
    });
    const host = options.asked ?? options.servername;
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nClient-Cert: forged\r\nConnection: close\r\n\r\n`);
    const answer = await text(socket);
    const shown = /^client-cert: (.*)$/m.exec(answer)?.[1] ?? null;
    return { status: Number(answer.slice(9, 12)), shown, reused, session };
  } catch {
    return null;
  }
}

async function start() {
  const edge = await startWorker(t);
  const { url } = await startUpstream(t, ({ headers }, response) => {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\n`);
    response.end(`\n${lines.join('')}`);
  });
  const serve = async (id: string, hosts: string[], more: object, paths = ['/']) =>
    edge.applied(await edge.serve(id, hosts, [url], paths, more));
  await serve('mtls', [host], { clientCertificates: { ca: one, mode: 'require' } });
  await serve('open', ['open.example.com'], {});
  return { edge, serve };
}

t.test(
  'only clients with a certificate that the route trusts come in, and its upstream is told which',
  async (t) => {
    const { edge, serve } = await start();
    for (const version of tlsVersions) {
      const to = { servername: host, minVersion: version, maxVersion: version };
      const der = new X509Certificate(ann.cert as string).raw.toString('base64');
      t.match(await ask(edge.httpsPort, { ...to, ...ann }), { status: 200, shown: `:${der}:` }, version);
      t.equal(await ask(edge.httpsPort, to), null, 'none');
      t.match(await ask(edge.httpsPort, { ...to, ...bob }), { status: 403 }, 'of another authority');
      t.match(await ask(edge.httpsPort, { ...to, ...server }), { status: 403 }, 'not for clients');
      t.match(await ask(edge.httpsPort, { ...to, ...carl }), { status: 403 }, 'without what is in between');
      t.match(await ask(edge.httpsPort, { ...to, ...carl, cert: read('chain.pem') }), { status: 200 });
      const open = { ...to, servername: 'open.example.com' };
      t.match(
        await ask(edge.httpsPort, { ...open, ...ann }),
        { status: 200, shown: null },
        'others ask for none',
      );
    }
    await serve('asks', ['asks.example.com'], { clientCertificates: { ca: one, mode: 'request' } });
    const to = { servername: 'asks.example.com' };
    t.match(await ask(edge.httpsPort, to), { status: 200, shown: null });
    t.match(await ask(edge.httpsPort, { ...to, ...ann }), { status: 200, shown: /^:/ });
    t.match(await ask(edge.httpsPort, { ...to, ...bob }), { status: 403 });
  },
);

t.test('clients that come by an IP address are asked too, where they offer a protocol', async (t) => {
  const { edge, serve } = await start();
  await serve('ip', ['127.0.0.1', '10.0.0.1'], { clientCertificates: { ca: one, mode: 'require' } });
  const status = async (asked: string, options: ConnectionOptions) =>
    (await ask(edge.httpsPort, { asked, ...options }))?.status;
  const ALPNProtocols = ['http/1.1'];
  for (const [asked, maxVersion] of [
    ['127.0.0.1', 'TLSv1.3'],
    ['10.0.0.1', 'TLSv1.2'], // that of the first address
  ] as const) {
    const to = { ALPNProtocols, maxVersion };
    t.equal(await status(asked, { ...to, ...ann }), 200, asked);
    t.equal(await status(asked, { ...to, ...bob }), 403, 'of another authority');
    t.equal(await status(asked, to), 403, 'the handshake ends well: a balancer may come so');
  }
  t.equal(await status('10.0.0.1', ann), 403, 'without a protocol none is asked for');
});

t.test('over port 80, where nobody can show one, only those come in that need none', async (t) => {
  const { edge, serve } = await start();
  for (const [mode, status] of [
    ['require', 403],
    ['request', 200],
  ] as const) {
    await serve('plain', ['plain.example.com'], {
      clientCertificates: { ca: one, mode },
      plainHttp: 'serve',
    });
    const sent = get({ port: edge.httpPort, headers: { host: 'plain.example.com' } });
    const [answer] = await once(sent, 'response');
    t.equal(answer.statusCode, status, mode);
    answer.resume();
  }
});

t.test('routes of one host ask for themselves', async (t) => {
  const { edge, serve } = await start();
  await serve('api', [host], {}, ['/api']);
  await serve('admin', [host], { clientCertificates: { ca: two, mode: 'require' } }, ['/admin']);
  const status = async (path: string, client: ConnectionOptions) =>
    (await ask(edge.httpsPort, { servername: host, path, ...client }))?.status;
  t.same([await status('/', {}), await status('/', ann), await status('/', bob)], [403, 200, 403]);
  t.same([await status('/api', {}), await status('/api', ann)], [200, 200]);
  t.same(
    [await status('/admin', {}), await status('/admin', ann), await status('/admin', bob)],
    [403, 403, 200],
  );
});

t.test('a connection that was made for another host does not get in', async (t) => {
  const { edge } = await start();
  // A certificate for both, as a browser sends requests for both over one connection then.
  const both = await edge.broughtRecord('both', host);
  for (const client of [{}, ann]) {
    t.match(await ask(edge.httpsPort, { servername: 'open.example.com', asked: host, ...client }), {
      status: 421,
    });
  }
  await edge.applied(
    await edge.commit({ op: 'put', kind: 'certificate', id: 'both', value: { ...both, names: [host] } }),
  );
  const session = connectH2(`https://127.0.0.1:${edge.httpsPort}`, {
    servername: 'open.example.com',
    rejectUnauthorized: false,
    ...ann,
  });
  t.teardown(() => session.destroy());
  const stream = session.request({ ':authority': host });
  const [head] = await once(stream, 'response');
  t.equal(head[':status'], 421);
});

t.test('a session that is resumed proves no more than its handshake did', async (t) => {
  for (const version of tlsVersions) {
    const { edge, serve } = await start();
    const to = { servername: host, minVersion: version, maxVersion: version };
    const first = await ask(edge.httpsPort, { ...to, ...ann });
    t.match(await ask(edge.httpsPort, { ...to, session: first!.session }), {
      status: 200,
      reused: true,
      shown: /^:/,
    });
    const open = await ask(edge.httpsPort, { ...to, servername: 'open.example.com' });
    // From now on this host asks as well: what began before has to begin anew.
    await serve('open', ['open.example.com'], { clientCertificates: { ca: one, mode: 'require' } });
    const late = { ...to, servername: 'open.example.com' };
    t.match(await ask(edge.httpsPort, { ...late, session: open!.session, ...ann }), {
      status: 200,
      reused: false,
    });
  }
});

t.test(
  'of a session that is resumed the leaf alone is judged, whatever another host’s handshake found',
  async (t) => {
    const asked = compileClientCertificates({
      clientCertificates: { ca: one, mode: 'require' },
    } as RouteRecord)!;
    const trusts = ({ cert }: ConnectionOptions, provenBy: string | null = null) =>
      asked.trusts({ leaf: new X509Certificate(cert as string), provenBy });
    t.same([trusts(ann), trusts(bob), trusts(server), trusts(carl)], [true, false, false, false]);
    t.same([trusts(carl, one), trusts(bob, two)], [true, false]);
    t.throws(
      () => compileClientCertificates({ clientCertificates: { ca: 'none', mode: 'require' } } as RouteRecord),
      {
        code: 'bad_certificate',
      },
    );
  },
);
