import { execFile, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { connect, createServer } from 'node:tls';
import { promisify } from 'node:util';
import { octetsOf } from '@lockstep/contract';
import { testFolder } from '@lockstep/testkit';
import t from 'tap';
import {
  checkChain,
  createAlpnCertificate,
  createAuthority,
  createCsr,
  createKeyPair,
  generateKeyPem,
  issueCertificate,
  issueLeaf,
} from '../../src/index.ts';

const run = promisify(execFile);
const withOpenssl = { skip: spawnSync('openssl', ['version']).status !== 0 && 'needs the openssl command' };
const dayMs = 86_400_000;
const now = Date.now();
const authority = await createAuthority({ now });
const keyPem = await generateKeyPem();
const long = `${'a'.repeat(63)}.${'b'.repeat(63)}.example.com`;
const hosts = ['shop.example.com', '*.example.com', 'xn--bcher-kva.example', long];
const issue = (host: string, options = {}) =>
  issueCertificate({ authority, host, keyPem, lifetimeMs: 90 * dayMs, now, ...options });

t.test('OpenSSL verifies every certificate strictly', withOpenssl, async (t) => {
  const dir = testFolder(t, { 'root.pem': authority.certificate });
  for (const host of hosts) {
    const file = join(dir, 'leaf.pem');
    await writeFile(file, await issue(host));
    const name = host.replace('*', 'any');
    const args = ['verify', '-x509_strict', '-purpose', 'sslserver', '-verify_hostname', name];
    const { stdout } = await run('openssl', [...args, '-CAfile', join(dir, 'root.pem'), file]);
    t.match(stdout, /: OK/, host);
  }
});

t.test('a TLS client that trusts the root alone connects', async (t) => {
  const server = createServer({ key: keyPem, cert: await issue('*.example.com') }, (socket) => socket.end());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const socket = connect({
    port,
    host: '127.0.0.1',
    servername: 'any.example.com',
    ca: authority.certificate,
  });
  await once(socket, 'secureConnect');
  t.ok(socket.authorized);
  socket.destroy();
});

t.test('a certificate begins an hour ago and lasts as asked, both within its root’s time', async (t) => {
  const time = (pem: string) => {
    const { validFromDate, validToDate } = new X509Certificate(pem);
    return [validFromDate.getTime(), validToDate.getTime()];
  };
  const root = time(authority.certificate);
  const second = 1_000;
  const floor = (ms: number) => Math.floor(ms / second) * second;
  t.same(time(await issue('a.example.com')), [floor(now - 3_600_000), floor(now + 90 * dayMs)]);
  const early = time(await issue('a.example.com', { now: now - dayMs }));
  t.equal(early[0], root[0], 'not before the root');
  const late = time(await issue('a.example.com', { lifetimeMs: 5_000 * dayMs }));
  t.equal(late[1], root[1], 'not after the root');
  t.ok(root[1]! > now + 3_650 * dayMs - second);
});

t.test('a root that ends after 2049 is readable', async (t) => {
  const future = Date.parse('2045-06-01T00:00:00Z');
  const { certificate } = await createAuthority({ now: future });
  t.equal(new X509Certificate(certificate).validToDate.getUTCFullYear(), 2055);
});

t.test('what the maker says of a certificate is what is read in it, for keys of every type', async (t) => {
  for (const type of ['ecdsa-p256', 'ecdsa-p384', 'rsa-2048'] as const) {
    const { keyPem, publicKey } = await createKeyPair(type);
    for (const host of hosts) {
      const { chain, facts } = await issueLeaf({ authority, host, publicKey, lifetimeMs: 90 * dayMs, now });
      t.strictSame(facts, checkChain({ chain, keyPem, host, now }), `${type} ${host}`);
    }
  }
});

t.test('serial numbers are positive, 128 bits wide and never the same', async (t) => {
  const serials = await Promise.all(
    Array.from({ length: 50 }, async () => new X509Certificate(await issue('a.example.com')).serialNumber),
  );
  t.equal(new Set(serials).size, serials.length);
  for (const serial of serials) t.match(serial, /^[4-7][0-9A-F]{31}$/);
});

t.test('the root can sign nothing but leaves, and each authority has a name of its own', async (t) => {
  const root = new X509Certificate(authority.certificate);
  t.ok(root.ca && root.checkIssued(root) && root.verify(root.publicKey));
  t.notOk(new X509Certificate(await issue('a.example.com')).ca);
  const other = new X509Certificate((await createAuthority()).certificate);
  t.match(root.subject, /^CN=Lockstep internal CA [0-9a-f]{8}$/);
  t.not(other.subject, root.subject);
});

t.test('an authority read from the store again issues under the same root', async (t) => {
  const chain = await issue('a.example.com', { authority: { ...authority } });
  t.match(checkChain({ chain: chain + authority.certificate, keyPem, host: 'a.example.com', now }), {
    issuerName: new X509Certificate(authority.certificate).subject,
  });
});

t.test('OpenSSL reads and verifies a CSR, whose names are in the SAN', withOpenssl, async (t) => {
  const dir = testFolder(t);
  for (const host of hosts) {
    const file = join(dir, 'csr.der');
    await writeFile(file, await createCsr({ keyPem, host }));
    const { stdout, stderr } = await run('openssl', [
      'req',
      '-inform',
      'DER',
      '-in',
      file,
      '-noout',
      '-verify',
      '-text',
    ]);
    t.match(stdout, new RegExp(`DNS:${RegExp.escape(host)}\\n`));
    t.match(stdout + stderr, /verify OK/);
  }
});

t.test('an IP address stands in request and certificate as an address, never as a name', async (t) => {
  for (const host of ['203.0.113.9', '[2001:db8::9]']) {
    const address = host.replace(/[[\]]/g, '');
    const chain = await issue(host);
    const leaf = new X509Certificate(chain);
    t.equal(leaf.checkIP(address), address);
    t.match(leaf.subjectAltName, /^IP Address:/);
    t.equal(leaf.checkIP('203.0.113.10'), undefined);
    t.strictSame(checkChain({ chain, keyPem, host, now }).subjectAltNames, [host]);
    t.throws(() => checkChain({ chain, keyPem, host: '203.0.113.10', now }), { code: 'bad_certificate' });

    const csr = await createCsr({ keyPem, host });
    // Context tag 7 of a GeneralName, and its octets (RFC 5280, section 4.2.1.6).
    const octets = octetsOf(address);
    t.ok(csr.includes(Buffer.from([0x87, octets.length, ...octets])));
    t.notOk(csr.includes(address), 'nowhere as text: there is no common name');
    const { certificate } = await createAlpnCertificate({ host, keyAuthorization: 'token.thumbprint' });
    t.equal(new X509Certificate(certificate).checkIP(address), address);
  }
});
