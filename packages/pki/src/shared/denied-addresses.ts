import { type LookupAddress, type LookupAllOptions, lookup as lookUp } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { networkInterfaces } from 'node:os';
import { normalize } from 'node:path';

/** A listener of the fleet's own, where nothing that customers name may lead. */
export interface OwnService {
  /** An address or a name; an unspecified one (`0.0.0.0`, `::`) stands for every address of this machine. */
  host: string;
  port: number;
}

export interface DeniedAddresses {
  /** Whether a connection may not go there. `address` is an IP address in any spelling, brackets and zone included. */
  denies(address: string, port: number): boolean;
  /** Whether a socket of the file system, or the folder that it is in, is denied. Links are the caller's to follow. */
  deniesPath(path: string): boolean;
}

/** The code of the error that a denied address gives. */
export const addressDenied = 'ADDRESS_DENIED';

export function denialOf(address: string, port: number): Error {
  return Object.assign(new Error(`${address} port ${port} is an address where nothing may lead`), {
    code: addressDenied,
  });
}

/**
 * `ranges`: IP addresses and CIDR ranges, and sockets and folders of the file system behind `unix:`. A range of IPv4 also covers the ways to write it in IPv6: mapped (RFC 4291), translated
 * (RFC 6052, RFC 7915) and 6to4 (RFC 3056).
 */
export function createDeniedAddresses(
  ranges: readonly string[],
  ownServices: readonly OwnService[] = [],
): DeniedAddresses {
  const list = new BlockList();
  for (const range of ranges) add(list, range);
  const paths = ranges.filter((range) => range.startsWith('unix:')).map((range) => range.slice(5));
  const ownPorts = new Map<number, BlockList>();
  for (const { host, port } of ownServices) {
    const addresses = ownPorts.get(port) ?? new BlockList();
    ownPorts.set(port, addresses);
    for (const address of addressesOf(host)) add(addresses, address);
  }

  return {
    denies(address, port) {
      const bare = address.replace(/^\[|\]$/g, '').replace(/%.*$/, '');
      const plain = /^(?:.*\.)?localhost\.?$/i.test(bare) ? '127.0.0.1' : bare;
      const version = isIP(plain);
      if (version === 0) return false; // a name: its addresses are looked at when it is looked up
      const family = version === 4 ? 'ipv4' : 'ipv6';
      return list.check(plain, family) || ownPorts.get(port)?.check(plain, family) === true;
    },
    deniesPath(path) {
      const plain = normalize(path);
      return paths.some((denied) => plain === denied || plain.startsWith(`${denied}/`));
    },
  };
}

/** Looks up all addresses of a name, as Node's own lookup does. */
export type AskAddresses = (
  hostname: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, found: LookupAddress[]) => void,
) => void;

/** Looks a name up and gives those of its addresses that are not denied; an error with `addressDenied` when none is left. */
export function createGuardedLookup(
  denied: () => DeniedAddresses,
  port: number,
  ask: AskAddresses = lookUp,
): LookupFunction {
  return (hostname, options, callback) => {
    ask(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) {
        callback(error, '', 0);
        return;
      }
      const now = denied();
      const allowed = found.filter(({ address }) => !now.denies(address, port));
      const first = allowed[0];
      if (first === undefined) callback(denialOf(found[0]?.address ?? hostname, port), '', 0);
      else if (options.all === true) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };
}

const loopback = ['127.0.0.0/8', '::1', '0.0.0.0', '::'];

function addressesOf(host: string): string[] {
  const plain = host.replace(/^\[|\]$/g, '');
  if (plain === 'localhost' || plain === '::1' || /^127\./.test(plain)) return loopback;
  if (plain !== '0.0.0.0' && plain !== '::' && plain !== '') return isIP(plain) === 0 ? [] : [plain];
  const own = Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address));
  return [...loopback, ...own];
}

function add(list: BlockList, range: string): void {
  const [address = '', given] = range.replace(/%[^/]*/, '').split('/');
  const version = isIP(address);
  if (version === 0) return;
  const bits = given === undefined ? (version === 4 ? 32 : 128) : Number(given);
  // BlockList takes the mapped form (::ffff:0:0/96) for IPv4 by itself.
  list.addSubnet(address, bits, version === 4 ? 'ipv4' : 'ipv6');
  if (version === 6) return;
  for (const prefix of ['::', '::ffff:0:', '64:ff9b::', '64:ff9b:1::']) {
    list.addSubnet(`${prefix}${address}`, 96 + bits, 'ipv6');
  }
  const [a, b, c, d] = address.split('.').map(Number) as [number, number, number, number];
  const hex = (high: number, low: number) => ((high << 8) | low).toString(16);
  list.addSubnet(`2002:${hex(a, b)}:${hex(c, d)}::`, 16 + bits, 'ipv6');
}
