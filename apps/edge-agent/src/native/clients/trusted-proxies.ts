import { isIP, SocketAddress } from 'node:net';
import { createAddressRanges, readAuthority } from '@lockstep/contract';

/** What a proxy in front says of a request that it passes on. */
export interface ForwardedRequest {
  /** Who made it: going back from the edge, the first that is no trusted proxy. IPv4 in its own form. */
  client: string;
  /** `client` and the proxies after it, for `X-Forwarded-For`. */
  chain: string;
  /** Null: not said. */
  scheme: 'http' | 'https' | null;
  authority: string | null;
  /** Other `X-Forwarded-*`, as flat pairs. */
  others: string[];
}

export interface TrustedProxies {
  /** Null where the peer is not one of them: then nothing is believed. */
  read(peer: string, rawHeaders: readonly string[]): ForwardedRequest | null;
}

/** Proxies in front of the edges, by their addresses. */
export function createTrustedProxies(ranges: readonly string[]): TrustedProxies {
  const trusted = createAddressRanges(ranges);

  return {
    read(peer, rawHeaders) {
      if (!trusted.has(peer)) return null;
      const told = readFields(rawHeaders);
      const hops = told.hops ?? told.forwarded.map((element) => element.for ?? 'unknown');
      const chain = [plainAddress(peer)!];
      /** The furthest that a trusted proxy has said, be it that it hides its client (RFC 7239, section 6.3). */
      let said = hops.length;
      // What stands further left was said by somebody who is not trusted, or is no address at all.
      for (let at = hops.length - 1; at >= 0 && trusted.has(chain[0]!); at -= 1) {
        said = at;
        const address = plainAddress(hops[at]!);
        if (address === null) break;
        chain.unshift(address);
      }
      // What the proxy that the client came to said of it.
      const element = told.hops === null ? told.forwarded[said] : undefined;
      return {
        client: chain[0]!,
        chain: chain.join(', '),
        scheme: schemeOf(told.scheme ?? element?.proto),
        authority: authorityOf(told.host ?? element?.host),
        others: told.others,
      };
    },
  };
}

interface Told {
  /** Of `X-Forwarded-For`, which goes before `Forwarded`; null without. */
  hops: string[] | null;
  scheme: string | undefined;
  host: string | undefined;
  forwarded: Partial<Record<string, string>>[];
  others: string[];
}

function readFields(raw: readonly string[]): Told {
  const told: Told = { hops: null, scheme: undefined, host: undefined, forwarded: [], others: [] };
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase();
    const value = raw[i + 1]!;
    if (name === 'forwarded') told.forwarded.push(...readForwarded(value));
    if (!name.startsWith('x-forwarded-')) continue;
    if (name === 'x-forwarded-for') told.hops = [...(told.hops ?? []), ...value.split(',')];
    else if (name === 'x-forwarded-proto') told.scheme ??= value.split(',')[0]!.trim();
    else if (name === 'x-forwarded-host') told.host ??= value.split(',')[0]!.trim();
    else told.others.push(raw[i]!, value);
  }
  return told;
}

const pair = /[\t ]*([!#$%&'*+.^_`|~\w-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*))[\t ]*([;,]|$)/y;

/** RFC 7239, section 4. What is not written so ends what is read of it: further right nothing could be told apart. */
function readForwarded(value: string): Partial<Record<string, string>>[] {
  const elements: Partial<Record<string, string>>[] = [];
  let element: Partial<Record<string, string>> = Object.create(null);
  pair.lastIndex = 0;
  while (pair.lastIndex < value.length) {
    const found = pair.exec(value);
    if (found === null) return [];
    element[found[1]!.toLowerCase()] ??= found[2]?.replace(/\\(.)/g, '$1') ?? found[3]!;
    if (found[4] === ';') continue;
    elements.push(element);
    element = Object.create(null);
  }
  return elements;
}

/** Without a port and brackets; null for what is no address, as a name or `unknown`. */
function plainAddress(given: string): string | null {
  const text = given.trim();
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1];
  const address = bracketed ?? text.replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1');
  const version = isIP(address);
  if (version === 0 || address.includes('%')) return null;
  if (version === 4) return address;
  // An address has many spellings, and one limit: `::ffff:102:304` is an IPv4 client too.
  return new SocketAddress({ address, family: 'ipv6' }).address.replace(/^::ffff:(?=\d+\.)/, '');
}

function schemeOf(given: string | undefined): 'http' | 'https' | null {
  const scheme = given?.toLowerCase();
  return scheme === 'http' || scheme === 'https' ? scheme : null;
}

function authorityOf(given: string | undefined): string | null {
  if (given === undefined) return null;
  const read = readAuthority(given);
  return 'fault' in read ? null : read.authority;
}
