import { addressOfHost, type PutRoute, servedHosts } from '@lockstep/contract';
import type { Check, ConfigStore } from '@lockstep/store';
import { checkClientCertificates } from '../certificates/client-certificate.ts';
import { addressFault } from '../issuers/address-fault.ts';
import { checkIssuers } from '../issuers/issuer-chain.ts';
import type { KnownIssuers } from '../issuers/known-issuers.ts';
import { refusePublicSuffix } from '../names/public-suffix.ts';
import type { Denied } from '../outbound/denied.ts';
import type { SettingsSource } from '../settings/settings-source.ts';
import { invalidField } from '../validation/invalid-field.ts';

/** Throws `invalid_request` for a route that could never be served; else tells what its commit has to check. */
export type RouteRules = (route: Omit<PutRoute, 'id'>) => Promise<Check[]>;

export interface RouteRulesOptions {
  store: ConfigStore;
  known: KnownIssuers;
  settings: SettingsSource;
  denied: Pick<Denied, 'check'>;
}

export function createRouteRules({ store, known, settings, denied }: RouteRulesOptions): RouteRules {
  return async ({ hosts, alsoServe, upstreams, issuers, challenge, dns }) => {
    for (const [index, host] of hosts.entries()) refusePublicSuffix(host, `/hosts/${index}`);
    for (const host of servedHosts({ hosts, alsoServe })) {
      if (!hosts.includes(host)) refusePublicSuffix(host, '/alsoServe');
    }
    for (const [index, { url }] of (upstreams ?? []).entries()) denied.check(url, `/upstreams/${index}/url`);
    const checks = issuers === undefined ? [] : (await checkIssuers(known, issuers)).checks;
    if (challenge === 'http-01' || challenge === 'tls-alpn-01')
      await refuseForWildcard(hosts, challenge, issuers);
    await checkAddresses(hosts, challenge, issuers);
    if (challenge === 'tls-alpn-01' && dns?.proxiedBy !== undefined && (await asksCas(issuers))) {
      throw invalidField(
        '/challenge',
        'a CDN ends TLS itself, so that a CA never sees what the edges answer to tls-alpn-01; leave challenge out, or take another',
      );
    }
    return [...checks, ...(await checkClientCertificates(store, { upstreams }))];
  };

  /** Whether every issuer of the chain is an ACME CA. */
  async function asksCas(issuers: string[] | undefined): Promise<boolean> {
    const chain = await known.getMany(issuers ?? settings.current().issuers ?? known.defaultChain);
    return chain.every((issuer) => issuer !== null && issuer.config.type !== 'internal');
  }

  /** An address has a certificate where some issuer of the chain makes one, and no DNS proves it (RFC 8738, section 7). */
  async function checkAddresses(
    hosts: string[],
    challenge: string | undefined,
    issuers: string[] | undefined,
  ): Promise<void> {
    const index = hosts.findIndex((host) => addressOfHost(host) !== null);
    if (index === -1) return;
    if (challenge === 'dns-01' || challenge === 'dns-persist-01')
      throw invalidField('/challenge', `"${hosts[index]}" is an IP address, which ${challenge} cannot prove`);
    const chain = issuers ?? settings.current().issuers ?? known.defaultChain;
    const faults = (await known.getMany(chain)).map((issuer, at) =>
      issuer === null ? `there is no issuer "${chain[at]}"` : addressFault(chain[at]!, issuer.config),
    );
    if (!faults.includes(null))
      throw invalidField(
        `/hosts/${index}`,
        `"${hosts[index]}" is an IP address, which no issuer of the chain certifies: ${faults.join('; ')}`,
      );
  }

  /** ACME validates a wildcard by the DNS alone; only where every issuer of the chain is an ACME CA, that settles it. */
  async function refuseForWildcard(
    hosts: string[],
    challenge: string,
    issuers: string[] | undefined,
  ): Promise<void> {
    const wildcard = hosts.find((host) => host.startsWith('*.'));
    if (wildcard === undefined || !(await asksCas(issuers))) return;
    throw invalidField(
      '/challenge',
      `"${wildcard}" is a wildcard, which an ACME CA validates by dns-01 or dns-persist-01 only, not by ${challenge}; leave challenge out, or name wildcards in a route of their own`,
    );
  }
}
