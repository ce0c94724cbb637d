import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createServer as createSecureServer } from 'node:tls';
import { createLocalhostCertificate } from '@lockstep/testkit';
import type { Test } from 'tap';

/** One request as it came over the wire. */
export interface RecordedRequest {
  /** Of the connection it came on; counted from 1 in the order they were opened. */
  connection: number;
  /** Request line and fields, as one string of bytes (latin1). */
  head: string;
  method: string;
  target: string;
  /** In order, names in lower case. */
  fields: [name: string, value: string][];
  /** The values of one field. */
  all(name: string): string[];
  /** What has come of the body so far, still in its transfer coding. */
  body: string;
}

/** What the upstream does about a request: bytes to send, or anything at all with the socket. */
export type Behaviour = string | Buffer | ((request: RecordedRequest, socket: Socket) => void);

/** An upstream that records the bytes it receives, and sends the bytes it is told to. */
export interface RecordingUpstream {
  readonly url: string;
  readonly requests: RecordedRequest[];
  /** Every byte received, by connection. */
  readonly bytes: Map<number, string>;
  /** Connections that are open now, and that were ever opened. */
  readonly open: number;
  readonly opened: number;
  /** For targets that begin so; without any, 200 with the body `ok`. The longest one counts. */
  on(target: string, behaviour: Behaviour): void;
  /** The next request whose target begins so, that is not yet taken. */
  next(target: string): Promise<RecordedRequest>;
  /** Forgets what was recorded and told. */
  reset(): void;
}

const plainAnswer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok';

/** `secure`: over TLS, with a certificate of an authority that nobody knows. */
export async function startRecordingUpstream(t: Test, secure = false): Promise<RecordingUpstream> {
  const requests: RecordedRequest[] = [];
  const bytes = new Map<number, string>();
  const behaviours = new Map<string, Behaviour>();
  const sockets = new Set<Socket>();
  const taken = new Set<RecordedRequest>();
  const waiting: { target: string; resolve(request: RecordedRequest): void }[] = [];
  let opened = 0;

  function behaviourFor(target: string): Behaviour {
    const keys = [...behaviours.keys()].filter((key) => target.startsWith(key));
    const longest = keys.sort((a, b) => b.length - a.length)[0];
    return longest === undefined ? plainAnswer : behaviours.get(longest)!;
  }

  function receive(request: RecordedRequest, socket: Socket): void {
    requests.push(request);
    const index = waiting.findIndex(({ target }) => request.target.startsWith(target));
    if (index !== -1) {
      taken.add(request);
      waiting.splice(index, 1)[0]!.resolve(request);
    }
    const behaviour = behaviourFor(request.target);
    if (typeof behaviour === 'function') behaviour(request, socket);
    else socket.write(behaviour);
  }

  function take(socket: Socket): void {
    opened += 1;
    const connection = opened;
    sockets.add(socket);
    socket.setNoDelay();
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    let rest = '';
    let current: { request: RecordedRequest; left: number | 'chunked' } | null = null;
    socket.on('data', (chunk) => {
      rest += chunk.toString('latin1');
      bytes.set(connection, (bytes.get(connection) ?? '') + chunk.toString('latin1'));
      for (;;) {
        if (current === null) {
          const end = rest.indexOf('\r\n\r\n');
          if (end === -1) return;
          const request = readHead(rest.slice(0, end), connection);
          rest = rest.slice(end + 4);
          const length = request.all('content-length')[0];
          const chunked = request.all('transfer-encoding').length > 0;
          current = { request, left: chunked ? 'chunked' : Number(length ?? 0) };
          receive(request, socket);
        }
        const { request, left } = current;
        if (left === 'chunked') {
          const end = /(^|\r\n)0\r\n(?:[^\r\n]+\r\n)*\r\n/.exec(request.body + rest);
          const length = end === null ? rest.length : end.index + end[0].length - request.body.length;
          request.body += rest.slice(0, length);
          rest = rest.slice(length);
          if (end === null) return;
        } else {
          const take = rest.slice(0, left);
          request.body += take;
          rest = rest.slice(take.length);
          current.left = left - take.length;
          if (current.left > 0) return;
        }
        current = null;
      }
    });
  }

  const server = secure ? createSecureServer(await ownCertificate(), take) : createServer(take);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });

  return {
    url: `http${secure ? 's' : ''}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    bytes,
    get open() {
      return sockets.size;
    },
    get opened() {
      return opened;
    },
    on: (target, behaviour) => void behaviours.set(target, behaviour),
    next(target) {
      const here = requests.find((one) => one.target.startsWith(target) && !taken.has(one));
      if (here !== undefined) {
        taken.add(here);
        return Promise.resolve(here);
      }
      return new Promise((resolve) => waiting.push({ target, resolve }));
    },
    reset() {
      requests.length = 0;
      bytes.clear();
      behaviours.clear();
      taken.clear();
      waiting.length = 0;
    },
  };
}

function readHead(head: string, connection: number): RecordedRequest {
  const [line = '', ...lines] = head.split('\r\n');
  const [method = '', target = ''] = line.split(' ');
  const fields = lines.map((text): [string, string] => {
    const colon = text.indexOf(':');
    return [text.slice(0, colon).toLowerCase(), text.slice(colon + 1).trim()];
  });
  const all = (name: string) => fields.filter(([one]) => one === name).map(([, value]) => value);
  return { connection, head, method, target, fields, all, body: '' };
}

async function ownCertificate(): Promise<{ cert: string; key: string }> {
  const { chain, keyPem } = await createLocalhostCertificate();
  return { cert: chain, key: keyPem };
}
