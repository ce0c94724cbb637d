import { realpathSync } from 'node:fs';
import { isIP, type Socket } from 'node:net';
import type { ConnectionOptions, SecureContext, TLSSocket } from 'node:tls';
import type { Upstream } from '@lockstep/contract';
import { type DeniedAddresses, denialOf } from '@lockstep/pki/denied-addresses';
import { type Address, dial, dialPath } from './dial.ts';
import { ExchangeError } from './failure-cause.ts';
import { type ClientEnds, proxyHeader } from './proxy-header.ts';
import type { UpstreamAddress } from './upstream-address.ts';
import type { UpstreamName } from './upstream-name.ts';

const { connect: connectTls, createSecureContext } = process.getBuiltinModule('node:tls');

/** What the edge shows upstreams that want to know who it is. */
export interface ClientCertificate {
  chain: string;
  /** PEM. */
  openKey(): string;
}

export interface UpstreamConnectorOptions {
  address: UpstreamAddress;
  /** Null for an address that needs no looking up. */
  name: UpstreamName | null;
  tls: Upstream['tls'];
  proxyProtocol: 1 | 2 | null;
  /** By its id; null where the edge holds none. The same object as long as it is the same certificate. */
  clientCertificate(id: string): ClientCertificate | null;
  /** Read at each connection. */
  connectMs(): number;
  /** Held against the address that is connected to: what a name stands for can change between two looks. */
  denied(): DeniedAddresses;
}

export interface ConnectOptions {
  /** The name that is asked for and proven; null for none. */
  servername: string | null;
  alpn: 'http/1.1' | 'h2';
  /** Whose connection it is, where the upstream is told. */
  ends: ClientEnds | null;
}

type Callback = (error: Error | null, socket: Socket | null) => void;

/** Opens connections to one upstream: TCP or a socket of the file system, whom it is for, TLS. */
export interface UpstreamConnector {
  /** `callback` is called once, later. */
  connect(options: ConnectOptions, callback: Callback): void;
}

const mostSessions = 50;

export function createUpstreamConnector(options: UpstreamConnectorOptions): UpstreamConnector {
  const { address, name, tls, proxyProtocol, clientCertificate, connectMs, denied } = options;
  /** By the name that was asked for. */
  const sessions = new Map<string, Buffer>();
  let context: { of: ClientCertificate | null; built: SecureContext } | null = null;

  function secureContext(): SecureContext {
    const id = tls?.clientCertificate;
    const own = id === undefined ? null : clientCertificate(id);
    if (id !== undefined && own === null) {
      throw new ExchangeError('upstream_client_certificate', `the edge holds no certificate "${id}"`);
    }
    if (context?.of !== own || context === null) {
      const built = createSecureContext({
        ...(tls?.ca !== undefined && { ca: tls.ca }),
        ...(own !== null && { cert: own.chain, key: own.openKey() }),
      });
      // What is resumed would show the certificate of before.
      sessions.clear();
      context = { of: own, built };
    }
    return context.built;
  }

  /** Of those addresses the ones where an upstream may be. */
  function allowed(found: Address[]): Address[] {
    const now = denied();
    const rest = found.filter((one) => !now.denies(one.address, address.port));
    if (rest.length === 0) throw denialOf(found[0]?.address ?? address.hostname, address.port);
    return rest;
  }

  function open(callback: Callback): () => void {
    if (address.path !== null) {
      if (denied().deniesPath(realPathOf(address.path))) throw denialOf(address.path, 0);
      return dialPath(address.path, callback);
    }
    if (name === null) {
      const literal = { address: address.hostname, family: isIP(address.hostname) };
      return dial(allowed([literal]), address.port, !address.secure, callback);
    }
    let stop: (() => void) | null = null;
    let over = false;
    name.resolve((error, found) => {
      if (over) return;
      if (error !== null) {
        callback(error, null);
        return;
      }
      try {
        stop = dial(allowed(found), address.port, !address.secure, (failure, socket) => {
          if (socket !== null && found.length > 1) name.prefer(isIP(socket.remoteAddress ?? '') || 4);
          callback(failure, socket);
        });
      } catch (denial) {
        callback(denial as Error, null);
      }
    });
    return () => {
      over = true;
      stop?.();
    };
  }

  function secure(socket: Socket, { servername, alpn }: ConnectOptions, callback: Callback): void {
    const asked = servername ?? '';
    const built = secureContext();
    const session = sessions.get(asked);
    const secured: TLSSocket = connectTls({
      socket,
      host: address.hostname,
      ...(servername !== null && { servername }),
      ...(session !== undefined && { session }),
      ALPNProtocols: [alpn],
      secureContext: built,
      rejectUnauthorized: tls?.verify !== false,
      highWaterMark: 16_384,
    } as ConnectionOptions);
    secured.on('session', (given: Buffer) => {
      if (sessions.size >= mostSessions) sessions.clear();
      sessions.set(asked, given);
    });
    const onError = (error: Error) => callback(error, null);
    secured.once('error', onError);
    secured.once('secureConnect', () => {
      secured.off('error', onError);
      if (alpn === 'h2' && secured.alpnProtocol !== 'h2') {
        secured.destroy();
        callback(new ExchangeError('upstream_http2_invalid', 'it chose another protocol'), null);
      } else callback(null, secured);
    });
  }

  return {
    connect(how, callback) {
      let opened: Socket | null = null;
      let stop: (() => void) | null = null;
      const finish: Callback = (error, socket) => {
        if (timer === null) return;
        clearTimeout(timer);
        timer = null;
        // As if dialled: nobody is ready for an answer before it has asked.
        if (error !== null && stop === null) queueMicrotask(() => callback(error, null));
        else callback(error, socket);
      };
      let timer: NodeJS.Timeout | null = setTimeout(() => {
        stop?.();
        opened?.destroy();
        finish(new ExchangeError('upstream_timeout_connect'), null);
      }, connectMs());
      try {
        stop = open((error, socket) => {
          if (timer === null) {
            socket?.destroy();
            return;
          }
          if (socket === null) {
            finish(error, null);
            return;
          }
          opened = socket;
          try {
            if (proxyProtocol !== null && how.ends !== null)
              socket.write(proxyHeader(proxyProtocol, how.ends));
            if (address.secure) secure(socket, how, finish);
            else finish(null, socket);
          } catch (failure) {
            socket.destroy();
            finish(failure as Error, null);
          }
        });
      } catch (failure) {
        finish(failure as Error, null);
      }
    },
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
