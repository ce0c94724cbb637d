import type { Issuer, IssuerSecrets, PutIssuer } from '@lockstep/contract';
import { directoryOf } from './acme/account-id.ts';
import type { KnownIssuer } from './known-issuers.ts';
import { providerSecretField } from './secret-fields.ts';

/** An issuer as the API shows it; of `secrets` only which there are. */
export function presentIssuer(
  { name, source, config, record }: KnownIssuer,
  secrets: IssuerSecrets,
  accountUrl: string | null,
): Issuer {
  const acme = config.type === 'internal' ? null : config;
  return {
    name,
    type: config.type,
    source,
    directory: directoryOf(config)?.directory ?? null,
    email: acme?.email ?? null,
    eab: config.type === 'acme' && config.eab !== undefined ? { kid: config.eab.kid } : null,
    roots: config.type === 'acme' ? (config.roots ?? null) : null,
    keyType: config.keyType,
    profile: acme?.profile ?? null,
    preferredChain: acme?.preferredChain ?? null,
    challenges: acme?.challenges ?? null,
    dnsProvider: acme?.dnsProvider ?? null,
    caaIdentities: acme?.caaIdentities ?? null,
    limits: acme?.limits ?? null,
    lifetimeHours: config.type === 'internal' ? config.lifetimeHours : null,
    secrets: secretNames(config, secrets),
    accountUrl,
    revision: record?.revision ?? null,
  };
}

/** By the fields of the body in which they were given. */
function secretNames(config: PutIssuer, { apiKey, eabHmacKey, dnsProvider }: IssuerSecrets): string[] {
  const names: string[] = [];
  if (apiKey !== undefined) names.push('apiKey');
  if (eabHmacKey !== undefined) names.push('eab.hmacKey');
  if (dnsProvider !== undefined && config.type !== 'internal' && config.dnsProvider !== undefined)
    names.push(`dnsProvider.${providerSecretField(config.dnsProvider)}`);
  return names;
}
