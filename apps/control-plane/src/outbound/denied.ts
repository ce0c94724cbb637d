import { type NodePresence, type PutSettings, parseAddress } from '@lockstep/contract';
import { createDeniedAddresses, type DeniedAddresses, type OwnService } from '@lockstep/pki/denied-addresses';
import { invalidField } from '../validation/invalid-field.ts';

const builtForMs = 60_000;

export interface DeniedOptions {
  settings(): Pick<PutSettings, 'edge'>;
  nodes(): Pick<NodePresence, 'report'>[];
  /** The API and the store. */
  ownServices(): OwnService[];
}

/** Where nothing that callers of the API name may lead: `settings.edge.deny`, the API, the store and the edges' admin ports. */
export interface Denied {
  now(): DeniedAddresses;
  /** Throws `invalid_request` where `url` names such an address outright. Names are looked at when they are connected to. */
  check(url: string, pointer: string, deny?: readonly string[]): void;
}

export function createDenied({ settings, nodes, ownServices }: DeniedOptions): Denied {
  /** Built anew when something of it changed, not for each write; and once a minute, as this machine may get other addresses. */
  let built = { of: '', until: 0, addresses: createDeniedAddresses([]) };

  function addresses(deny: readonly string[]): DeniedAddresses {
    const admins = nodes().map(({ report }) => report.addresses.admin);
    const of = JSON.stringify([deny, ownServices(), admins]);
    if (built.of === of && performance.now() < built.until) return built.addresses;
    const services = admins.flatMap(readAddress);
    const addresses = createDeniedAddresses(deny, [...ownServices(), ...services]);
    built = { of, until: performance.now() + builtForMs, addresses };
    return addresses;
  }

  return {
    now: () => addresses(settings().edge.deny),
    check(url, pointer, deny = settings().edge.deny) {
      const now = addresses(deny);
      const socket = /^unix:(.*)/.exec(url)?.[1];
      const { hostname, port, protocol } = new URL(url);
      const standard = protocol === 'https:' ? 443 : 80;
      const refused =
        socket === undefined ? now.denies(hostname, Number(port) || standard) : now.deniesPath(socket);
      if (!refused) return;
      throw invalidField(
        pointer,
        `"${socket ?? hostname}" is an address where nothing may lead: one of settings.edge.deny, or of the fleet's own listeners`,
      );
    },
  };
}

/** What a node says of itself must not keep routes from being written. */
function readAddress(address: string): OwnService[] {
  try {
    return [parseAddress(address, 'an admin port')];
  } catch {
    return [];
  }
}
