import { isIP } from 'node:net';
import {
  type AskAddresses,
  createGuardedLookup,
  type DeniedAddresses,
  denialOf,
} from '@lockstep/pki/denied-addresses';

/**
 * `fetch` for addresses that callers of the API name: connections to denied addresses are refused, whatever name led there and
 * whatever that name stood for a moment ago. undici is loaded by the first call: most control planes make none.
 */
export function createGuardedFetch(
  denied: () => DeniedAddresses,
  /** How names are looked up; left out: as this machine does. */
  addressesOf?: (name: string) => Promise<string[]>,
): typeof globalThis.fetch {
  let opened: Promise<typeof globalThis.fetch> | null = null;
  return async (input, init) => {
    opened ??= open(denied, addressesOf === undefined ? undefined : asking(addressesOf));
    return (await opened)(input, init);
  };
}

async function open(
  denied: () => DeniedAddresses,
  ask: AskAddresses | undefined,
): Promise<typeof globalThis.fetch> {
  const { Agent, buildConnector, fetch } = await import('undici');
  const dispatcher = new Agent({
    allowH2: false,
    connect(options, callback) {
      const port = Number(options.port) || (options.protocol === 'https:' ? 443 : 80);
      const { hostname } = options;
      if (denied().denies(hostname, port)) {
        queueMicrotask(() => callback(denialOf(hostname, port), null));
        return;
      }
      connectorTo(port)(options, callback);
    },
  });
  const connectors = new Map<number, ReturnType<typeof buildConnector>>();

  function connectorTo(port: number) {
    const connector =
      connectors.get(port) ??
      buildConnector({ allowH2: false, lookup: createGuardedLookup(denied, port, ask) });
    connectors.set(port, connector);
    return connector;
  }

  return ((input: string | URL, init: RequestInit) =>
    fetch(input, { ...init, dispatcher } as never)) as unknown as typeof globalThis.fetch;
}

function asking(addressesOf: (name: string) => Promise<string[]>): AskAddresses {
  return (name, _options, callback) => {
    addressesOf(name).then(
      (all) => {
        const found = all.map((address) => ({ address, family: isIP(address) }));
        if (found.length > 0) callback(null, found);
        else callback(Object.assign(new Error(`${name} has no address`), { code: 'ENOTFOUND' }), []);
      },
      (error) => callback(error, []),
    );
  };
}
