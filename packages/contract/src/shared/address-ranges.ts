import { BlockList, isIP, SocketAddress } from 'node:net';

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
  const { address, family, bits } = range;
  const rest = BigInt((family === 'ipv4' ? 32 : 128) - bits);
  const value = numberOf(address, family);
  const first = (value >> rest) << rest;
  if (first === value) return null;
  return `is a range, but begins within it: the range is ${textOf(first, family)}/${bits}, the address alone ${address}`;
}

function numberOf(address: string, family: 'ipv4' | 'ipv6'): bigint {
  const join = (parts: number[], width: bigint) =>
    parts.reduce((value, part) => (value << width) | BigInt(part), 0n);
  if (family === 'ipv4') return join(address.split('.').map(Number), 8n);
  const hextets = (text = '') =>
    text.split(':').flatMap((part) => {
      if (!part.includes('.')) return part === '' ? [] : [Number.parseInt(part, 16)];
      const value = Number(numberOf(part, 'ipv4'));
      return [value >>> 16, value & 0xffff];
    });
  const [before, after] = address.split('::').map(hextets);
  const zeros = new Array(8 - before!.length - (after?.length ?? 0)).fill(0);
  return join([...before!, ...zeros, ...(after ?? [])], 16n);
}

function textOf(value: bigint, family: 'ipv4' | 'ipv6'): string {
  const [count, width] = family === 'ipv4' ? [4, 8n] : [8, 16n];
  const parts = Array.from({ length: count }, (_, index) =>
    Number(BigInt.asUintN(Number(width), value >> (BigInt(count - 1 - index) * width))),
  );
  if (family === 'ipv4') return parts.join('.');
  const address = parts.map((part) => part.toString(16)).join(':');
  return new SocketAddress({ address, family }).address;
}

function readRange(range: string): { address: string; family: 'ipv4' | 'ipv6'; bits: number } | null {
  const [given = '', length, more] = range.split('/');
  const version = isIP(given);
  if (version === 0 || given.includes('%') || more !== undefined) return null;
  const most = version === 4 ? 32 : 128;
  const bits = length === undefined ? most : Number(length);
  if (!/^\d{1,3}$/.test(length ?? '0') || bits > most) return null;
  if (version === 4) return { address: given, family: 'ipv4', bits };
  const { address } = new SocketAddress({ address: given, family: 'ipv6' });
  if (bits < 96 || !mapped.check(given, 'ipv6')) return { address, family: 'ipv6', bits };
  return { address: address.slice('::ffff:'.length), family: 'ipv4', bits: bits - 96 };
}
