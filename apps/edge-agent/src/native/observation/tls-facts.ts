import type { TLSSocket } from 'node:tls';
import type { ClientRequest } from '../../server/client-message.ts';

export interface TlsFacts {
  /** As `TLSv1.3`; undefined without TLS. */
  tls?: string | undefined;
  /** The session was one that the client had from before. */
  resumed?: boolean | undefined;
}

const none: TlsFacts = {};
/** Of a connection they are always the same, and asking costs as much as the rest of a line. */
const ofConnection = new WeakMap<object, TlsFacts>();
const ofRequest = new WeakMap<ClientRequest, TlsFacts>();

/** To be asked while the connection is there; the same is told after that. */
export function tlsFactsOf(request: ClientRequest): TlsFacts {
  try {
    let facts = ofRequest.get(request);
    if (facts !== undefined) return facts;
    const connection = request.socket;
    facts = ofConnection.get(connection) ?? read(connection as TLSSocket);
    ofConnection.set(connection, facts);
    ofRequest.set(request, facts);
    return facts;
  } catch {
    return none; // it is gone already
  }
}

function read(socket: TLSSocket): TlsFacts {
  if (socket.encrypted !== true) return none;
  return { tls: socket.getProtocol() ?? undefined, resumed: socket.isSessionReused() };
}
