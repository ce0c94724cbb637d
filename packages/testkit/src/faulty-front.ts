import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { Agent, createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type AcmeFault,
  type AcmeFaults,
  type AcmeKind,
  acmeKind,
  acmeKinds,
  createAcmeFaults,
} from './acme-faults.ts';
import { createLocalhostCertificate } from './localhost-certificate.ts';

export interface FaultyFront {
  readonly directory: string;
  /** Of the front's own listener. */
  readonly rootPem: string;
  readonly rootFile: string;
  readonly faults: AcmeFaults;
  /** Requests that came, those that met a fault included. */
  readonly counts: Readonly<Record<AcmeKind, number>>;
  close(): Promise<void>;
}

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/**
 * Stands between clients and a Pebble, and fails as it is told. Pebble makes its addresses, and checks the `url` that a client
 * signed, by the Host header; since that goes through unchanged, clients keep coming back here.
 */
export async function startFaultyFront({
  pebble,
}: {
  pebble: { directory: string; rootPem: string };
}): Promise<FaultyFront> {
  const { chain, keyPem, rootPem } = await createLocalhostCertificate();
  const other = await createLocalhostCertificate('another-host.example.com');
  const dir = await mkdtemp(join(tmpdir(), 'lockstep-front-'));
  const rootFile = join(dir, 'root.pem');
  await writeFile(rootFile, rootPem);

  const { port: pebblePort, pathname } = new URL(pebble.directory);
  const agent = new Agent({ keepAlive: true });
  const stop = new AbortController();
  const faults = createAcmeFaults();
  const counts = Object.fromEntries(acmeKinds.map((kind) => [kind, 0])) as Record<AcmeKind, number>;

  async function forward({ method, url, headers }: IncomingMessage, body: Buffer): Promise<Answer> {
    const upstream = request({
      host: '127.0.0.1',
      port: pebblePort,
      servername: 'localhost',
      ca: pebble.rootPem,
      agent,
      method,
      path: url,
      headers,
    });
    upstream.on('error', () => {}); // after the response too, where `once` no longer listens
    upstream.end(body);
    const [response] = (await once(upstream, 'response', { signal: stop.signal })) as [IncomingMessage];
    return { status: response.statusCode ?? 0, headers: response.headers, body: await buffer(response) };
  }

  async function handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { method = '', url: path = '' } = incoming;
    const kind = acmeKind(path);
    counts[kind] += 1;
    const body = await buffer(incoming);
    const met = faults.next({ kind, method, path, payload: payloadOf(body) });
    const fault = met?.fault;
    if (fault?.fault === 'answer') return send(outgoing, faultyAnswer(fault));
    if (fault?.fault === 'drop' && fault.when === 'before') return void incoming.socket.destroy();
    if (fault?.fault === 'hang' && fault.when === 'before') return;
    const answer = await forward(incoming, body);
    if (isBadNonce(answer)) {
      met?.putBack(); // the client tries again, and only then the CA does what it is asked
      return send(outgoing, answer);
    }
    if (fault?.fault === 'drop') return void incoming.socket.destroy();
    if (fault?.fault === 'hang') return;
    if (fault?.fault === 'delay') await delay(fault.ms, undefined, { signal: stop.signal });
    if (fault?.fault === 'processing') return send(outgoing, stillProcessing(answer, fault.retryAfter));
    if (fault?.fault === 'wrongCertificate' && answer.status === 200)
      return send(outgoing, { ...answer, body: Buffer.from(fault.pem ?? other.chain) });
    send(outgoing, answer);
  }

  const server = createServer({ cert: chain, key: keyPem }, (incoming, outgoing) => {
    handle(incoming, outgoing).catch(() => incoming.socket.destroy()); // Pebble is gone, or the front closes
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    directory: `https://localhost:${(server.address() as AddressInfo).port}${pathname}`,
    rootPem,
    rootFile,
    faults,
    counts,
    async close() {
      stop.abort();
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      agent.destroy();
      await closed;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function send(outgoing: ServerResponse, { status, headers, body }: Answer): void {
  const { 'content-length': _length, 'transfer-encoding': _encoding, connection: _hop, ...rest } = headers;
  outgoing.writeHead(status, rest).end(body);
}

function faultyAnswer({ status, type, detail, retryAfter }: AcmeFault & { fault: 'answer' }): Answer {
  const after = retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) };
  // Without a type, as a load balancer answers that has no server left.
  if (type === undefined) return { status, headers: after, body: Buffer.from('<html>no server</html>') };
  const problem = { type: `urn:ietf:params:acme:error:${type}`, detail: detail ?? type, status };
  const headers = { 'content-type': 'application/problem+json', ...after };
  return { status, headers, body: Buffer.from(JSON.stringify(problem)) };
}

function stillProcessing(answer: Answer, retryAfter: number | undefined): Answer {
  const order = parse(answer.body) as { status?: string; certificate?: string } | null;
  if (order?.status !== 'valid' && order?.status !== 'processing') return answer;
  const { certificate: _issued, ...rest } = order;
  return {
    status: answer.status,
    headers: { ...answer.headers, ...(retryAfter !== undefined && { 'retry-after': String(retryAfter) }) },
    body: Buffer.from(JSON.stringify({ ...rest, status: 'processing' })),
  };
}

/** Pebble refuses some on purpose (RFC 8555, section 6.5). */
function isBadNonce({ status, body }: Answer): boolean {
  return status === 400 && (parse(body) as { type?: string } | null)?.type?.endsWith(':badNonce') === true;
}

/** The payload of a JWS (RFC 7515, section 7.2.2). */
function payloadOf(body: Buffer): unknown {
  const jws = parse(body) as { payload?: unknown } | null;
  return typeof jws?.payload === 'string' ? parse(Buffer.from(jws.payload, 'base64url')) : null;
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return null;
  }
}
