import { type Address, AppError } from '@lockstep/contract';

export interface RedisTarget {
  mode: 'single' | 'sentinel' | 'cluster';
  nodes: { host: string; port: number }[];
  /** Sentinel only. */
  masterName: string;
  tls: boolean;
  username: string | undefined;
  password: string | undefined;
  db: number;
  /** For messages: the address without user and password. */
  shown: string;
}

const form = /^(redis|rediss)(?:\+(sentinel|cluster))?:\/\/(?:([^@/]*)@)?([^@/]+)(?:\/([^/?#]*))?$/;

/** Throws `bad_configuration`; neither the error nor `shown` holds the password. */
export function parseStoreUrl(url: string): RedisTarget {
  const match = form.exec(url.trim());
  if (match === null) throw refuse('it looks like redis://host:6379');
  const [, scheme, kind, user = '', addresses = '', path = ''] = match;
  const mode = kind === 'sentinel' || kind === 'cluster' ? kind : 'single';
  const nodes = addresses.split(',').map((address) => parseNode(address, mode));
  if (mode === 'single' && nodes.length > 1) {
    throw refuse('for several addresses use redis+sentinel:// or redis+cluster://');
  }
  if (mode === 'sentinel' && path === '') throw refuse('a Sentinel address ends in /master-name');
  if (mode === 'cluster' && path !== '') throw refuse('a Cluster has no databases to choose from');
  if (mode === 'single' && !/^\d{0,5}$/.test(path))
    throw refuse('after the / comes the number of a database');
  const colon = user.indexOf(':');
  return {
    mode,
    nodes,
    masterName: mode === 'sentinel' ? decode(path) : '',
    tls: scheme === 'rediss',
    username: decode(colon === -1 ? user : user.slice(0, colon)) || undefined,
    password: colon === -1 ? undefined : decode(user.slice(colon + 1)) || undefined,
    db: mode === 'single' ? Number(path) : 0,
    shown: `${url.trim().split('://')[0]}://${addresses}${path === '' ? '' : `/${path}`}`,
  };
}

/** Where a store listens, as its address says. Throws `bad_configuration`. */
export const storeAddresses = (url: string): Address[] => parseStoreUrl(url).nodes;

function parseNode(address: string, mode: RedisTarget['mode']): { host: string; port: number } {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/i.exec(address);
  const port = match?.[3] === undefined ? (mode === 'sentinel' ? 26_379 : 6_379) : Number(match[3]);
  if (match === null || port > 65_535) throw refuse('one of its addresses is not host:port');
  return { host: match[1] ?? match[2]!, port };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refuse('user and password are percent-encoded');
  }
}

function refuse(reason: string): AppError {
  return new AppError('bad_configuration', `the address of the store cannot be read: ${reason}`);
}
