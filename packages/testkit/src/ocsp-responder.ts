import { once } from 'node:events';
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { runOpenssl } from './openssl.ts';

/** Its first bit is set, so that DER puts a 00 before it. */
const leafSerial = '8765432109ABCDEF';

export interface OcspResponder {
  /** PEM: the leaf and its issuer. The leaf names `url` as its OCSP responder. */
  readonly chain: string;
  /** PKCS#8 PEM. */
  readonly keyPem: string;
  readonly rootPem: string;
  readonly url: string;
  /** How many requests came so far. */
  requestCount(): number;
  /** What it says of the leaf from now on: `unknown`, it never heard of it. */
  setStatus(status: 'good' | 'revoked' | 'unknown'): Promise<void>;
  /** How it answers from now on. `fails`: status 500; `hangs`: not at all. */
  setMood(mood: 'answers' | 'fails' | 'hangs'): void;
  close(): Promise<void>;
}

export interface OcspResponderOptions {
  /** The leaf's names. */
  hosts?: readonly string[];
  /** Null: its responses name no next update. */
  nextUpdateMinutes?: number | null;
  /** Who signs responses: the leaf's issuer, a responder certified by it, or one that it certified for servers only. */
  signer?: 'issuer' | 'delegate' | 'unfit';
}

/** OpenSSL's own OCSP responder behind an HTTP server on loopback (its own listens on every address), with a CA made for it. */
export async function startOcspResponder({
  hosts = ['ocsp.example.com'],
  nextUpdateMinutes = 60,
  signer = 'issuer',
}: OcspResponderOptions = {}): Promise<OcspResponder> {
  const dir = await mkdtemp(join(tmpdir(), 'lockstep-ocsp-'));
  const openssl = (...args: string[]) => runOpenssl(dir, ...args);
  let mood: 'answers' | 'fails' | 'hangs' = 'answers';
  let requests = 0;

  const server = createServer(async (request, response) => {
    const id = ++requests;
    const body = await buffer(request);
    if (mood === 'hangs') return;
    try {
      if (mood === 'fails') throw new Error('told to fail');
      response.setHeader('content-type', 'application/ocsp-response');
      response.end(await respond(id, body));
    } catch {
      response.writeHead(500).end();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;

  async function respond(id: number, body: Buffer): Promise<Buffer> {
    const files = { request: join(dir, `${id}.req`), response: join(dir, `${id}.resp`) };
    await writeFile(files.request, body);
    const signedBy = signer === 'issuer' ? 'issuer' : 'responder';
    const args = ['-index', 'index.txt', '-CA', 'issuer.pem', '-rsigner', `${signedBy}.pem`];
    args.push('-rkey', `${signedBy}.key`, '-reqin', files.request, '-respout', files.response);
    if (nextUpdateMinutes !== null) args.push('-nmin', String(nextUpdateMinutes));
    await openssl('ocsp', ...args);
    return readFile(files.response);
  }

  async function setStatus(status: 'good' | 'revoked' | 'unknown'): Promise<void> {
    const fields = ['401231235959Z', '', leafSerial, 'unknown', '/CN=leaf'];
    if (status === 'good') fields.unshift('V');
    else {
      fields.unshift('R');
      fields[2] = '200101000000Z,keyCompromise';
    }
    const lines = status === 'unknown' ? '' : `${fields.join('\t')}\n`;
    // In one go: a responder may be reading it.
    await writeFile(join(dir, 'index.next'), lines);
    await rename(join(dir, 'index.next'), join(dir, 'index.txt'));
  }

  await writeFile(join(dir, 'openssl.cnf'), configuration(url, hosts, signer));
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-config', 'openssl.cnf'];
  const make = async (name: string, serial: string, issuer: string | null) => {
    const subject = ['-subj', `/CN=Lockstep test ${name}`, '-keyout', `${name}.key`];
    const request = issuer === null ? ['-x509', '-days', '30', '-extensions', name] : [];
    const out = issuer === null ? `${name}.pem` : `${name}.csr`;
    await openssl('req', ...request, ...key, ...subject, '-out', out);
    if (issuer === null) return;
    const authority = [
      '-CA',
      `${issuer}.pem`,
      '-CAkey',
      `${issuer}.key`,
      '-set_serial',
      serial,
      '-days',
      '30',
    ];
    const extensions = ['-extfile', 'openssl.cnf', '-extensions', name];
    await openssl('x509', '-req', '-in', out, ...authority, ...extensions, '-out', `${name}.pem`);
  };
  await make('root', '1', null);
  await make('issuer', '1', 'root');
  await Promise.all([
    make('leaf', `0x${leafSerial}`, 'issuer'),
    make('responder', '3', 'issuer'),
    setStatus('good'),
  ]);
  const read = (file: string) => readFile(join(dir, file), 'utf8');

  return {
    chain: (await read('leaf.pem')) + (await read('issuer.pem')),
    keyPem: await read('leaf.key'),
    rootPem: await read('root.pem'),
    url,
    requestCount: () => requests,
    setStatus,
    setMood(next) {
      mood = next;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function configuration(url: string, hosts: readonly string[], signer: string): string {
  const names = hosts.map((host) => `DNS:${host}`).join(',');
  return `
[req]
distinguished_name = subject
prompt = no
[subject]
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[issuer]
basicConstraints = critical, CA:true, pathlen:0
keyUsage = critical, keyCertSign, cRLSign, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[leaf]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = ${names}
authorityKeyIdentifier = keyid
authorityInfoAccess = OCSP;URI:https://127.0.0.1/not-by-https, OCSP;URI:${url}
[responder]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = ${signer === 'unfit' ? 'serverAuth' : 'OCSPSigning'}
authorityKeyIdentifier = keyid
`;
}
