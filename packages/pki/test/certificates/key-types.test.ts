import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { connect, createServer } from 'node:tls';
import type { KeyType } from '@lockstep/contract';
import { runOpenssl, testFolder } from '@lockstep/testkit';
import t from 'tap';
import { checkChain, createAuthority, createCsr, generateKeyPem, issueCertificate } from '../../src/index.ts';

const now = Date.now();
const host = 'shop.example.com';
const authority = await createAuthority({ now });
const types: Record<KeyType, object> = {
  'ecdsa-p256': { asymmetricKeyType: 'ec', asymmetricKeyDetails: { namedCurve: 'prime256v1' } },
  'ecdsa-p384': { asymmetricKeyType: 'ec', asymmetricKeyDetails: { namedCurve: 'secp384r1' } },
  'rsa-2048': { asymmetricKeyType: 'rsa', asymmetricKeyDetails: { modulusLength: 2048 } },
};

for (const [type, details] of Object.entries(types) as [KeyType, object][]) {
  t.test(`${type}: the key, its CSR and its certificate of the internal CA fit`, async (t) => {
    const keyPem = await generateKeyPem(type);
    t.match(createPrivateKey(keyPem), details);
    t.match(keyPem, /^-----BEGIN PRIVATE KEY-----/);

    const dir = testFolder(t, { 'root.pem': authority.certificate });
    await writeFile(join(dir, 'csr.der'), await createCsr({ keyPem, host }));
    const request = await runOpenssl(
      dir,
      'req',
      '-inform',
      'DER',
      '-in',
      'csr.der',
      '-noout',
      '-verify',
      '-text',
    );
    t.match(request.stdout + request.stderr, /verify OK/);
    t.match(request.stdout, `DNS:${host}`);

    const chain = await issueCertificate({ authority, host, keyPem, lifetimeMs: 86_400_000, now });
    t.ok(checkChain({ chain, keyPem, host, now }));
    await writeFile(join(dir, 'leaf.pem'), chain);
    const strict = ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', 'root.pem', 'leaf.pem'];
    t.match((await runOpenssl(dir, ...strict)).stdout, /: OK/);
    const { stdout } = await runOpenssl(dir, 'x509', '-in', 'leaf.pem', '-noout', '-ext', 'keyUsage');
    t.equal(/Key Encipherment/.test(stdout), type === 'rsa-2048', 'only RSA keys encipher keys');

    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const server = createServer({ key: keyPem, cert: chain }, (socket) => socket.end());
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const versions = { minVersion: version, maxVersion: version };
      const socket = connect({
        port,
        host: '127.0.0.1',
        servername: host,
        ca: authority.certificate,
        ...versions,
      });
      await once(socket, 'secureConnect');
      t.ok(socket.authorized, version);
      socket.destroy();
      server.close();
    }
  });
}

t.test('the default is P-256', async (t) => {
  t.match(createPrivateKey(await generateKeyPem()), types['ecdsa-p256']);
});

t.test('an authority stays on P-256 whatever its leaves have', async (t) => {
  t.match(new X509Certificate(authority.certificate).publicKey, types['ecdsa-p256']);
});
