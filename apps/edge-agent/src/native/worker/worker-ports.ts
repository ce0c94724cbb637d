import type { Server } from 'node:http';
import type { Address } from '@lockstep/contract';
import type { Logger } from 'pino';
import { setForAll } from '../../server/connection-options.ts';
import { listenError } from '../../server/listen-error.ts';
import type { HttpListener } from '../http/http-listener.ts';
import type { HttpsListener } from '../http/https-listener.ts';
import type { WorkerSettings } from './worker-message.ts';

export interface WorkerPortsOptions {
  https: Pick<HttpsListener, 'server'>;
  http: Pick<HttpListener, 'server'>;
  settings: Pick<WorkerSettings, 'https' | 'http' | 'sockets'>;
  log: Logger;
  onListening(): void;
}

/** The ports of a worker, bound once it has something to serve there. */
export interface WorkerPorts {
  /** Whether they are, or are about to be: null as long as nobody asked for it. */
  readonly bound: Promise<void> | null;
  /** Binds them, if nothing did yet. */
  bind(): Promise<void>;
  /** Rejects with `bad_configuration` when one cannot be bound, and does nothing else. */
  readonly failed: Promise<never>;
}

export function createWorkerPorts({
  https,
  http,
  settings,
  log,
  onListening,
}: WorkerPortsOptions): WorkerPorts {
  const failed = Promise.withResolvers<never>();
  let bound: Promise<void> | null = null;

  async function listen(): Promise<void> {
    await Promise.all([
      take(https.server as unknown as Server, settings.https, settings.sockets?.https),
      take(http.server, settings.http, settings.sockets?.http),
    ]);
    // Accepting can fail for a moment (too many open files, say); that ends neither the listener nor the worker.
    for (const server of [https.server, http.server]) {
      server.on('error', (error) => log.error({ err: error }, 'a connection was not accepted'));
    }
    onListening();
  }

  return {
    get bound() {
      return bound;
    },
    bind() {
      bound ??= listen();
      bound.catch(failed.reject);
      return bound;
    },
    failed: failed.promise,
  };
}

/** Takes connections of a socket that the supervisor has bound, or of one of its own. */
function take(server: Server, { host, port }: Address, fd: number | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (cause: NodeJS.ErrnoException) => {
      reject(listenError({ host, port }, cause));
    };
    server.once('error', onError);
    server.listen({ ...(fd === undefined ? { host, port } : { fd }), backlog: 2_048 }, () => {
      server.off('error', onError);
      setForAll(server);
      resolve();
    });
  });
}
