import type { DnsProvider, IssuerSecrets, PutIssuer } from '@lockstep/contract';
import { providerFacts } from '@lockstep/contract/schemas';
import type { KeyHolder, Sealer } from '@lockstep/pki';

/** Secrets by name; one that is undefined is not there. */
export type Secrets = Record<string, string | undefined>;

/** What a body says, apart from its secrets. */
export interface Split<Config, Known extends Secrets = Secrets> {
  config: Config;
  secrets: Known;
}

/** A provider without its secret, and the secret. */
export function splitProvider(provider: DnsProvider): { config: DnsProvider; secret: string | undefined } {
  const field = providerSecretField(provider);
  const { [field]: secret, ...config } = provider as Record<string, unknown>;
  return { config: config as DnsProvider, secret: secret as string | undefined };
}

export function joinProvider(config: DnsProvider, secret: string | undefined): DnsProvider {
  return secret === undefined ? config : { ...config, [providerSecretField(config)]: secret };
}

export function providerSecretField({ type }: DnsProvider): string {
  return providerFacts[type].secret;
}

/**
 * The secret of a provider after a change: the one given, else the one before it, as long as that would go to nobody else. A
 * changed address never receives a secret that was meant for another.
 */
export function keepProviderSecret(
  next: { config: DnsProvider; secret: string | undefined },
  before: { config: DnsProvider; secret: string | undefined } | null,
): string | undefined {
  if (next.secret !== undefined || before === null) return next.secret;
  return holderOf(next.config) === holderOf(before.config) ? before.secret : undefined;
}

/** Whom a provider's secret belongs to. */
function holderOf(provider: DnsProvider): string {
  const fields = provider as Record<string, unknown>;
  return JSON.stringify([provider.type, ...providerFacts[provider.type].owner.map((name) => fields[name])]);
}

export function splitIssuer(body: PutIssuer): Split<PutIssuer, IssuerSecrets & Secrets> {
  if (body.type === 'internal') return { config: body, secrets: {} };
  const { dnsProvider, ...rest } = body;
  const provider = dnsProvider === undefined ? undefined : splitProvider(dnsProvider);
  const withProvider = provider === undefined ? {} : { dnsProvider: provider.config };
  const secrets = { dnsProvider: provider?.secret };
  if (rest.type === 'zerossl') {
    const { apiKey, ...config } = rest;
    return { config: { ...config, ...withProvider }, secrets: { ...secrets, apiKey } };
  }
  const { eab, ...config } = rest;
  const withEab = eab === undefined ? {} : { eab: { kid: eab.kid } };
  return {
    config: { ...config, ...withEab, ...withProvider },
    secrets: { ...secrets, eabHmacKey: eab?.hmacKey },
  };
}

export function joinIssuer(config: PutIssuer, secrets: IssuerSecrets): PutIssuer {
  if (config.type === 'internal') return config;
  const { dnsProvider } = config;
  const withProvider =
    dnsProvider === undefined ? {} : { dnsProvider: joinProvider(dnsProvider, secrets.dnsProvider) };
  if (config.type === 'zerossl') {
    const withKey = secrets.apiKey === undefined ? {} : { apiKey: secrets.apiKey };
    return { ...config, ...withKey, ...withProvider };
  }
  const { eab } = config;
  const withEab =
    eab === undefined || secrets.eabHmacKey === undefined
      ? {}
      : { eab: { kid: eab.kid, hmacKey: secrets.eabHmacKey } };
  return { ...config, ...withEab, ...withProvider };
}

/** The secrets of an issuer after a change: those given, and those before it whose owner is still the same. */
export function keepIssuerSecrets(
  next: Split<PutIssuer, IssuerSecrets & Secrets>,
  before: Split<PutIssuer, IssuerSecrets & Secrets> | null,
): IssuerSecrets & Secrets {
  const { config, secrets } = next;
  if (before === null || config.type === 'internal' || before.config.type !== config.type) return secrets;
  const kept: IssuerSecrets & Secrets = { ...secrets };
  if (config.dnsProvider !== undefined) {
    kept.dnsProvider = keepProviderSecret(
      { config: config.dnsProvider, secret: secrets.dnsProvider },
      before.config.dnsProvider === undefined
        ? null
        : { config: before.config.dnsProvider, secret: before.secrets.dnsProvider },
    );
  }
  if (config.type === 'zerossl') kept.apiKey ??= before.secrets.apiKey;
  if (config.type === 'acme' && before.config.type === 'acme') {
    const sameBinding = config.eab !== undefined && config.eab.kid === before.config.eab?.kid;
    if (sameBinding) kept.eabHmacKey ??= before.secrets.eabHmacKey;
  }
  return kept;
}

/** The secrets as sealed JSON; null when there are none. */
export function sealSecrets(sealer: Sealer<KeyHolder>, secrets: Secrets, context: string): string | null {
  const present = Object.entries(secrets).filter(([, value]) => value !== undefined);
  return present.length === 0 ? null : sealer.seal(JSON.stringify(Object.fromEntries(present)), context);
}

/** Throws `wrong_secret_key`. */
export function openSecrets(sealer: Sealer<KeyHolder>, sealed: string | null, context: string): Secrets {
  return sealed === null ? {} : (JSON.parse(sealer.open(sealed, context)) as Secrets);
}
