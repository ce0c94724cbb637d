import { type NodePresence, type PutSettings, parseAddress } from '@lockstep/contract';
import { createDeniedAddresses, type DeniedAddresses, type OwnService } from '@lockstep/pki/denied-addresses';
import { invalidField } from './invalid-field.ts';

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
  function addresses(deny: readonly string[]): DeniedAddresses {
    const admins = nodes().map(({ report }) => parseAddress(report.addresses.admin, 'an admin port'));
    return createDeniedAddresses(deny, [...ownServices(), ...admins]);
  }

  return {
    now: () => addresses(settings().edge.deny),
    check(url, pointer, deny = settings().edge.deny) {
      const { hostname, port, protocol } = new URL(url);
      if (!addresses(deny).denies(hostname, Number(port) || (protocol === 'https:' ? 443 : 80))) return;
      throw invalidField(
        pointer,
        `"${hostname}" is an address where nothing may lead: one of settings.edge.deny, or of the fleet's own listeners`,
      );
    },
  };
}
