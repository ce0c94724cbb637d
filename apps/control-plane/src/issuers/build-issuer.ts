import type { DnsProvider, PutIssuer } from '@lockstep/contract';
import { fetchZeroSslEab, type Sealers } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import type { PersistRecords } from '../dns/persist-records.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { accountIdOf, directoryOf } from './acme/account-id.ts';
import { createAcmeIssuer } from './acme/acme-issuer.ts';
import { type AcmeSessionOptions, createAcmeSession } from './acme/acme-session.ts';
import { createAuthorizer } from './acme/authorizer.ts';
import { createCaClock } from './acme/ca-clock.ts';
import { createPersistSource } from './acme/persist-facts.ts';
import type { TxtPublisher } from './acme/txt-publisher.ts';
import { addressFault } from './address-fault.ts';
import type { CaCounts } from './ca-counts.ts';
import { createInternalIssuer } from './internal-issuer.ts';
import type { Issuer } from './issuer.ts';
import { limitsOf } from './ledger/lets-encrypt-limits.ts';

export interface BuildIssuerOptions {
  store: ConfigStore;
  sealers: Sealers;
  fleet: Fleet;
  /** The publisher of TXT records by the issuer's own provider, or by that of the settings; null without either. */
  publisher(own: DnsProvider | undefined): TxtPublisher | null;
  records: PersistRecords;
  counts: Pick<CaCounts, 'request'>;
  log: Logger;
  userAgent: string;
  /** Where ZeroSSL is; left out: where it is for everybody. */
  zeroSsl?: { directory: string; rootsPem: string; apiUrl: string } | undefined;
  now: () => number;
}

/** An issuer from its configuration, secrets and all. It reaches for its CA at its first use. */
export function buildIssuer(name: string, config: PutIssuer, options: BuildIssuerOptions): Issuer {
  const { store, sealers, fleet, log, now } = options;
  const sealer = sealers.controlPlanes;
  const { keyType } = config;
  if (config.type === 'internal') {
    const lifetimeMs = config.lifetimeHours * 3_600_000;
    return createInternalIssuer({ name, store, sealer, keyType, lifetimeMs, now });
  }
  const zeroSsl = config.type === 'zerossl' ? options.zeroSsl : undefined;
  const directory = zeroSsl?.directory ?? directoryOf(config)?.directory ?? '';
  const caClock = createCaClock();
  const accountId = accountIdOf(name, config) ?? name;
  const session = createAcmeSession({
    store,
    sealer,
    accountId,
    directory,
    email: config.email ?? null,
    rootsPem: config.type === 'acme' ? (config.roots ?? null) : (zeroSsl?.rootsPem ?? null),
    eab: eabOf(config, zeroSsl?.apiUrl),
    userAgent: options.userAgent,
    onAnswer(status, date) {
      options.counts.request(name, status);
      caClock.note(date);
    },
  });
  const persist = createPersistSource({ store, session, accountId });
  const authorizer = createAuthorizer({
    store,
    fleet,
    sealer: sealers.edges,
    persist,
    records: options.records,
    publisher: () => options.publisher(config.dnsProvider),
    log,
    now,
  });
  return createAcmeIssuer({
    name,
    directory,
    session,
    authorizer,
    persist,
    sealer,
    keyType,
    profile: config.profile ?? null,
    preferredChain: config.preferredChain ?? null,
    challenges: config.challenges ?? null,
    addressFault: addressFault(name, config),
    caaIdentities: config.caaIdentities ?? null,
    limits: limitsOf(config),
    clockFault: caClock.fault,
    now,
  });
}

function eabOf(
  config: Exclude<PutIssuer, { type: 'internal' }>,
  zeroSslApi: string | undefined,
): AcmeSessionOptions['eab'] {
  if (config.type === 'zerossl') {
    const { apiKey, email } = config;
    const by = { apiKey, email, ...(zeroSslApi !== undefined && { baseUrl: zeroSslApi }) };
    return (signal) => fetchZeroSslEab({ ...by, signal });
  }
  const { kid, hmacKey } = config.eab ?? {};
  return kid === undefined || hmacKey === undefined ? null : async () => ({ kid, hmacKey });
}
