import type { PutSettings } from '@lockstep/contract';
import { createDenied, type Denied, type DeniedOptions } from './denied.ts';

/** Addresses that are nobody's in public: IANA's registries of special-purpose addresses (RFC 6890), and what else is for one network alone. */
const privateRanges = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12'],
  ...['192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15'],
  ...['198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4'],
  ...['::/128', '::1/128', '64:ff9b:1::/48', '100::/64', '2001::/23', '2001:db8::/32', '3fff::/20'],
  ...['5f00::/16', 'fc00::/7', 'fe80::/10', 'fec0::/10', 'ff00::/8'],
];

/** Where what anybody names may not lead: where nothing may, and to private addresses. */
export function createPublicOnly({ settings, ...options }: DeniedOptions): Denied {
  return createDenied({
    ...options,
    settings(): Pick<PutSettings, 'edge'> {
      const { edge } = settings();
      return { edge: { ...edge, deny: [...edge.deny, ...privateRanges] } };
    },
  });
}
