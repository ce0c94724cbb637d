import { type Address, addressOfHost } from '@lockstep/contract';

const { connect } = process.getBuiltinModule('node:tls');

const defaultTimeoutMs = 5_000;
/** Whoever asks more often gets the last answer: anybody may ask. */
const freshMs = 1_000;

export interface OwnHandshakeOptions {
  address: Address;
  /** A host that a certificate is held for; null: an alert is answer enough. */
  host(): string | null;
  /** Default 5 s. */
  timeoutMs?: number | undefined;
}

/** A TLS handshake of the edge with its own listener, as its clients make it. */
export interface OwnHandshake {
  /** Null when it was answered; else why not. */
  check(): Promise<string | null>;
}

export function createOwnHandshake(options: OwnHandshakeOptions): OwnHandshake {
  const { address, host, timeoutMs = defaultTimeoutMs } = options;
  let last: { at: number; fault: Promise<string | null> } | null = null;
  return {
    check() {
      if (last === null || performance.now() - last.at > freshMs) {
        last = { at: Number.POSITIVE_INFINITY, fault: Promise.resolve(null) };
        const mine = last;
        mine.fault = shakeHands(address, host(), timeoutMs).finally(() => {
          mine.at = performance.now();
        });
      }
      return last.fault;
    },
  };
}

function shakeHands({ host, port }: Address, name: string | null, timeoutMs: number): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect({
      host: host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host,
      port,
      // Nothing is asked for on this connection, so nothing depends on whom it leads to.
      rejectUnauthorized: false,
      ca: [], // and no root has to be loaded
      ...(name !== null && addressOfHost(name) === null && { servername: name.replace(/^\*/, 'readyz') }),
    });
    const end = (fault: string | null) => {
      socket.destroy();
      resolve(fault);
    };
    socket.setTimeout(timeoutMs, () => end(`no answer within ${timeoutMs / 1_000} s`));
    socket.on('secureConnect', () => {
      resolve(null);
      // Ended as a client ends, or the worker would count a handshake that failed; the time-out destroys it.
      socket.end();
    });
    // An alert is an answer too: some worker took the connection and spoke.
    socket.on('error', (error: NodeJS.ErrnoException) =>
      end(error.code?.startsWith('ERR_SSL') ? null : (error.code ?? error.message)),
    );
  });
}
