import { AppError } from '@lockstep/contract';
import { getPublicSuffix } from 'tldts';

/**
 * Throws `invalid_request` for a host that is a public suffix (publicsuffix.org) and so belongs to no customer: `com`,
 * `*.co.uk`, `github.io`.
 */
export function refusePublicSuffix(host: string, pointer: string): void {
  const name = host.replace(/^\*\./, '');
  if (getPublicSuffix(name, { allowPrivateDomains: true }) !== name) return;
  const detail = name.includes('.')
    ? `host "${host}" is a public suffix, which belongs to no one customer; name a domain below it`
    : `host "${host}" is a single label; a route needs a full name such as shop.example.com`;
  throw new AppError('invalid_request', detail, { errors: [{ pointer, detail }] });
}
