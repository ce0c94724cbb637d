import type { X509Certificate } from 'node:crypto';
import { isIP, isIPv4, isIPv6, SocketAddress } from 'node:net';

/**
 * A host that is an IP address, in the one form in which it is stored, compared and written in addresses of the web: `203.0.113.9`, or
 * `[2001:db8::9]` (RFC 3986, section 3.2.2; RFC 5952). Null for a name.
 */
export function hostOfAddress(text: string): string | null {
  if (isIPv4(text)) return text;
  const address = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  if (!isIPv6(address) || address.includes('%')) return null;
  return `[${plainAddress(address)}]`;
}

/** An IP address in the form in which it is compared: of IPv6 the shortest (RFC 5952). */
export function plainAddress(address: string): string {
  return isIP(address) === 6 ? new SocketAddress({ address, family: 'ipv6' }).address : address;
}

/** The address that a host is; null for a name. */
export function addressOfHost(host: string): string | null {
  if (host.startsWith('[')) return host.slice(1, -1);
  return isIPv4(host) ? host : null;
}

/** Whether a certificate is for a host; of a wildcard, for a name below it. A common name alone does not count (RFC 9525, section 2). */
export function namesHost(
  certificate: Pick<X509Certificate, 'checkHost' | 'checkIP'>,
  host: string,
): boolean {
  const address = addressOfHost(host);
  if (address !== null) return certificate.checkIP(address) !== undefined;
  const name = host.startsWith('*.') ? `any${host.slice(1)}` : host;
  return certificate.checkHost(name, { subject: 'never' }) !== undefined;
}

/** The name that stands for an address where only names may stand, as in SNI for tls-alpn-01 (RFC 8738, section 6). */
export function reverseNameOf(address: string): string {
  if (isIPv4(address)) return `${address.split('.').reverse().join('.')}.in-addr.arpa`;
  return `${[...octetsOf(address)]
    .flatMap((octet) => [octet >> 4, octet & 15])
    .map((digit) => digit.toString(16))
    .reverse()
    .join('.')}.ip6.arpa`;
}

/** The 4 or 16 octets of an address. */
export function octetsOf(address: string): Uint8Array {
  if (isIPv4(address)) return Uint8Array.from(address.split('.'), Number);
  // An IPv4 address at the end stands for two groups.
  const groups = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) =>
    [(Number(a) << 8) | Number(b), (Number(c) << 8) | Number(d)].map((two) => two.toString(16)).join(':'),
  );
  const [head = '', tail] = groups.split('::');
  const left = head.split(':').filter(Boolean);
  const right = tail?.split(':').filter(Boolean) ?? [];
  const all = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return Uint8Array.from(
    all.flatMap((group) => {
      const value = Number.parseInt(group, 16);
      return [value >> 8, value & 255];
    }),
  );
}

/** The address of 4 or 16 octets. */
export function addressOf(octets: Uint8Array): string {
  if (octets.length === 4) return octets.join('.');
  const groups = Array.from({ length: 8 }, (_, at) =>
    ((octets[2 * at]! << 8) | octets[2 * at + 1]!).toString(16),
  );
  return plainAddress(groups.join(':'));
}
