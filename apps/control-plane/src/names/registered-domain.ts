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
