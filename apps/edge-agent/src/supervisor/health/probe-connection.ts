import { realpathSync } from 'node:fs';
import { connect, isIP, type Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type { Upstream } from '@lockstep/contract';
import { createGuardedLookup, type DeniedAddresses, denialOf } from '@lockstep/pki/denied-addresses';
import { ProbeFailure } from './probe-failure.ts';

/** What an edge shows an upstream that wants to know who it is. */
export interface ProbeCertificate {
  chain: string;
  /** PEM. */
  openKey(): string;
}

export interface ProbeConnectionOptions {
  upstream: Upstream;
  /** The name that the upstream is asked for by. */
  host: string;
  denied(): DeniedAddresses;
  /** By its id; null where the edge holds none. */
  clientCertificate(id: string): ProbeCertificate | null;
}

/** That nobody in particular connects (PROXY protocol, sections 2.1 and 2.2). */
const proxyHeaders = {
  1: Buffer.from('PROXY UNKNOWN\r\n'),
  2: Buffer.from('\r\n\r\n\0\r\nQUIT\n\x20\0\0\0', 'latin1'),
};

/** Opens the one connection of a check, as requests to the upstream would. `callback` is called once. */
export function openProbeConnection(
  options: ProbeConnectionOptions,
  callback: (error: Error | null, socket: Socket | null) => void,
): Socket {
  const { upstream } = options;
  const socket = dial(options);
  const onError = (error: Error) => callback(error, null);
  socket.once('error', onError);
  socket.once('connect', () => {
    try {
      if (upstream.proxyProtocol !== undefined) socket.write(proxyHeaders[upstream.proxyProtocol]);
      if (!upstream.url.startsWith('https:')) {
        socket.off('error', onError);
        callback(null, socket);
        return;
      }
      const secured = process
        .getBuiltinModule('node:tls')
        .connect({ socket, ...secureOptions(options) } as ConnectionOptions);
      secured.once('error', onError);
      secured.once('secureConnect', () => {
        secured.off('error', onError);
        callback(null, secured);
      });
    } catch (error) {
      socket.destroy();
      onError(error as Error);
    }
  });
  return socket;
}

function dial({ upstream: { url }, denied }: ProbeConnectionOptions): Socket {
  if (url.startsWith('unix:')) {
    const path = url.slice('unix:'.length);
    if (denied().deniesPath(realPathOf(path))) throw denialOf(path, 0);
    return connect({ path });
  }
  const { hostname, port, protocol } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  const to = Number(port) || (protocol === 'https:' ? 443 : 80);
  if (denied().denies(host, to)) throw denialOf(host, to);
  return connect({ host, port: to, lookup: createGuardedLookup(denied, to), autoSelectFamily: true });
}

function secureOptions({ upstream, host, clientCertificate }: ProbeConnectionOptions): ConnectionOptions {
  const { ca, serverName, verify, clientCertificate: id } = upstream.tls ?? {};
  const own = id === undefined ? null : clientCertificate(id);
  if (id !== undefined && own === null) throw new ProbeFailure(`the edge holds no certificate "${id}"`);
  const { hostname } = new URL(upstream.url);
  const address = hostname.replace(/^\[|\]$/g, '');
  const name = serverName ?? (isIP(address) === 0 ? address : host.replace(/:\d+$/, ''));
  return {
    host: address,
    ...(isIP(name) === 0 && { servername: name }),
    ...(ca !== undefined && { ca }),
    ...(own !== null && { cert: own.chain, key: own.openKey() }),
    rejectUnauthorized: verify !== false,
    ALPNProtocols: [upstream.protocol === 'h2' ? 'h2' : 'http/1.1'],
  };
}

/** Where links lead to; a path that leads nowhere is as it is. */
function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
