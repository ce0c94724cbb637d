import type { DnsProvider } from '@lockstep/contract';
import { invalidField } from '../validation/invalid-field.ts';
import { providerSecretField } from './secret-fields.ts';

const why = {
  'acme-dns': 'the password that acme-dns gave at the registration',
  cloudflare: 'an API token that may edit the DNS of the zone',
  rfc2136: 'the TSIG key, as base64',
};

/** Throws `invalid_request` where a provider cannot work: a secret that is needed was neither given nor stored before. */
export function checkDnsProvider(provider: DnsProvider, secret: string | undefined, pointer: string): void {
  if (provider.type === 'webhook' || secret !== undefined) return;
  const field = providerSecretField(provider);
  throw invalidField(
    `${pointer}/${field}`,
    `is needed: ${why[provider.type]}; a stored one is kept only for the same account`,
  );
}
