import { isIP } from 'node:net';
import type { AccessLog } from '@lockstep/contract';

/** IPv4 without its last 8 bits, IPv6 without its last 80: what is left names a network, not a household. */
export function hideAddress(
  address: string | undefined,
  how: AccessLog['clientAddress'],
): string | undefined {
  if (address === undefined || how === 'hidden') return undefined;
  if (how === 'full') return address;
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  if (isIP(plain) === 4) return plain.replace(/\.\d+$/, '.0');
  if (isIP(plain) !== 6) return undefined;
  const [head = '', tail] = plain.split('::');
  const groups = head.split(':').filter(Boolean);
  // In the short form, zeros stand between what is written before and after.
  if (tail !== undefined) while (groups.length < 3) groups.push('0');
  return `${groups.slice(0, 3).join(':')}::`;
}

export function hideQuery(target: string | undefined, how: AccessLog['query']): string | undefined {
  if (target === undefined || how === 'full') return target;
  const at = target.indexOf('?');
  if (at === -1) return target;
  const path = target.slice(0, at);
  if (how === 'hidden') return path;
  const names = target
    .slice(at + 1)
    .split('&')
    .map((one) => one.replace(/=.*$/s, '='));
  return `${path}?${names.join('&')}`;
}
