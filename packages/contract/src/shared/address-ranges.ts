import { BlockList, isIP } from 'node:net';
import { addressOf, octetsOf, plainAddress } from './host-address.ts';

export interface AddressRanges {
  /** False for what is no IP address. An IPv4 address is the same when it is written as IPv6 (`::ffff:192.0.2.1`). */
  has(address: string): boolean;
}

const mapped = new BlockList();
mapped.addSubnet('::ffff:0:0', 96, 'ipv6');

/** `ranges`: IP addresses and CIDR ranges. Those of one family hold nothing of the other: `::/0` is no IPv4 address. */
export function createAddressRanges(ranges: readonly string[]): AddressRanges {
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() };
  for (const range of ranges) {
    const { address, family, bits } = readRange(range) ?? {};
    if (family !== undefined) lists[family].addSubnet(address!, bits!, family);
  }
  return {
    has(given) {
      const zone = given.indexOf('%');
      const address = zone === -1 ? given : given.slice(0, zone);
      const version = isIP(address);
      if (version === 0) return false;
      const family = version === 4 ? 'ipv4' : 'ipv6';
      // What is asked with an IPv6 address, a list of IPv4 takes for its mapped form.
      return lists[family === 'ipv4' || mapped.check(address, family) ? 'ipv4' : 'ipv6'].check(
        address,
        family,
      );
    },
  };
}

/** A range or address in the one form that it is kept and shown in; null for what is neither. */
export function normaliseRange(input: string): string | null {
  const range = readRange(input);
  if (range === null) return null;
  const { address, family, bits } = range;
  return bits === (family === 'ipv4' ? 32 : 128) ? address : `${address}/${bits}`;
}

/**
 * What is wrong with a range whose address is not its first: whether the one address was meant, or all around it, cannot be known. Null
 * for a sound one, and for what is none.
 */
export function strayBits(input: string): string | null {
  const range = readRange(input);
  if (range === null) return null;
  const { address, bits } = range;
  const octets = octetsOf(address);
  const first = octets.map((octet, index) => octet & maskOf(bits - 8 * index));
  if (first.every((octet, index) => octet === octets[index])) return null;
  return `is a range, but begins within it: the range is ${addressOf(first)}/${bits}, the address alone ${address}`;
}

/** Of an octet so many bits, from the highest on. */
function maskOf(bits: number): number {
  return 256 - 2 ** (8 - Math.max(0, Math.min(8, bits)));
}

function readRange(range: string): { address: string; family: 'ipv4' | 'ipv6'; bits: number } | null {
  const [given = '', length, more] = range.split('/');
  const version = isIP(given);
  if (version === 0 || given.includes('%') || more !== undefined) return null;
  const most = version === 4 ? 32 : 128;
  const bits = length === undefined ? most : Number(length);
  if (!/^\d{1,3}$/.test(length ?? '0') || bits > most) return null;
  if (version === 4) return { address: given, family: 'ipv4', bits };
  const address = plainAddress(given);
  if (bits < 96 || !mapped.check(given, 'ipv6')) return { address, family: 'ipv6', bits };
  return { address: address.slice('::ffff:'.length), family: 'ipv4', bits: bits - 96 };
}
