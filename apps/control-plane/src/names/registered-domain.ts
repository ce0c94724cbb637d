import { getDomain } from 'tldts';

/**
 * The domain that somebody registered, as Let's Encrypt counts it: one label below the public suffix, the private section of
 * the list included, so that `shop.github.io` is one of its own. A name that is a suffix itself stands for itself.
 */
export function registeredDomain(host: string): string {
  const name = identifierOf(host);
  return getDomain(name, { allowPrivateDomains: true }) ?? name;
}

/** What a CA authorizes for the host: a wildcard by the name below it (RFC 8555, section 7.1.3). */
export function identifierOf(host: string): string {
  return host.replace(/^\*\./, '');
}

/** Whether the host is a domain as one registers it: an apex, beside whose SOA and NS there can be no CNAME (RFC 1034, section 3.6.2). */
export function isRegistrable(host: string): boolean {
  return getDomain(host, { allowPrivateDomains: true }) === host;
}
