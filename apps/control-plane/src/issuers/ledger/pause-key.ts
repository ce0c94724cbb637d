import { addressOfHost } from '@lockstep/contract';
import { identifierOf, registeredDomain } from '../../names/registered-domain.ts';

/**
 * Whom a 429 is about, as `Ledger.pause` takes it: `''` is the whole account, else the host or its registered domain. A problem
 * document gives all of a CA's limits the same type, so its text has to tell (Boulder quotes the name, or speaks of the exact
 * set); pausing the account for every one would let one customer's domain hold up all the others.
 */
export function pauseKey(detail: string, host: string): string {
  const identifier = identifierOf(host);
  const domain = registeredDomain(host);
  const words = new Set(
    detail
      .toLowerCase()
      .split(/[^a-z0-9.*-]+/)
      .map((word) => word.replace(/\.+$/, '')),
  );
  if (words.has(identifier) || words.has(host)) return identifier;
  // With colons, it is not one word.
  const address = addressOfHost(host);
  if (address !== null && detail.toLowerCase().includes(address)) return identifier;
  if (words.has(domain)) return domain;
  return /\bexact set of\b/i.test(detail) ? identifier : '';
}
