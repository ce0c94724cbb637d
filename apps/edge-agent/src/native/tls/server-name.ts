import { hostOfAddress } from '@lockstep/contract';

/** The dot at the end is not meant to be sent (RFC 6066, section 3), nor is an address, and neither changes anything about which host is meant. */
export function hostOf(servername: string): string {
  const name = servername.toLowerCase();
  if (name.includes(':')) return hostOfAddress(name) ?? name;
  return name.endsWith('.') ? name.slice(0, -1) : name;
}
