import type { Socket } from 'node:net';
import type { ConnectionLimits } from './connection-limits.ts';
import type { ProxiedConnections } from './proxied-connections.ts';

export interface AdmissionOptions {
  proxied: Pick<ProxiedConnections, 'whenKnown'>;
  limits: ConnectionLimits;
}

/** What a connection goes through before it is served, on either port. */
export interface Admission {
  /** Calls `accept` with the connection when its client is known and has not too many; else it is ended. */
  admit(socket: Socket, accept: (socket: Socket) => void): void;
}

export function createAdmission({ proxied, limits }: AdmissionOptions): Admission {
  return {
    admit(socket, accept) {
      proxied.whenKnown(socket, () => {
        if (limits.admit(socket)) accept(socket);
      });
    },
  };
}
