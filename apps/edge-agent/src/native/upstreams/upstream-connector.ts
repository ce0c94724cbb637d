import { createGuardedLookup, type DeniedAddresses, denialOf } from '@lockstep/pki/denied-addresses';
import type { buildConnector } from 'undici';
import { buildConnector as createConnector } from './undici-client.ts';

export interface UpstreamConnectorOptions {
  origin: URL;
  /** Read at each connection. */
  connectMs(): number;
  /** Held against the address that is connected to: what a name stands for can change between two looks. */
  denied(): DeniedAddresses;
}

/** Opens connections to one upstream, over TCP or TLS. */
export function createUpstreamConnector(options: UpstreamConnectorOptions): buildConnector.connector {
  const { origin, connectMs, denied } = options;
  const port = Number(origin.port) || (origin.protocol === 'https:' ? 443 : 80);
  const lookup = createGuardedLookup(denied, port);
  let timeout = connectMs();
  let connect = build();

  function build(): buildConnector.connector {
    return createConnector({ allowH2: false, timeout, lookup });
  }

  return (target, callback) => {
    if (denied().denies(target.hostname, port)) {
      // As if dialled: undici is not ready for an answer before it has asked.
      queueMicrotask(() => callback(denialOf(target.hostname, port), null));
      return;
    }
    if (timeout !== connectMs()) {
      timeout = connectMs();
      connect = build();
    }
    connect(target, callback);
  };
}
