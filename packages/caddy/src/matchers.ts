import { hostOfAddress, isAppError, normaliseHost } from '@lockstep/contract';
import type { Notes } from './notes.ts';
import { hasPlaceholder } from './placeholders.ts';
import { type Fields, isFields, ownOf, textsAt } from './read-json.ts';
import { type Condition, everything, intersect, type Scope } from './scope.ts';

/** How the path has been changed on its way to these matchers. */
export interface PathSoFar {
  stripped: string;
  /** It is another altogether. */
  replaced: boolean;
}

export type Matched = { scopes: Scope[] } | { fault: string; at: string };

/** The requests that some of these sets of matchers is for; a fault where that cannot be said here. */
export function readMatchers(match: unknown, at: string, path: PathSoFar, notes: Notes): Matched {
  if (match === undefined || match === null || (Array.isArray(match) && match.length === 0))
    return { scopes: [everything] };
  if (!Array.isArray(match) || !match.every(isFields)) return { fault: 'is no list of matchers', at };
  const scopes: Scope[] = [];
  for (const [index, set] of match.entries()) {
    const read = readSet(set, `${at}.${index}`, path, notes);
    if ('fault' in read) return read;
    if (read.scope !== null) scopes.push(read.scope);
  }
  return { scopes: merged(scopes) };
}

type ReadSet = { scope: Scope | null } | { fault: string; at: string };

function readSet(set: Fields, at: string, path: PathSoFar, notes: Notes): ReadSet {
  let scope: Scope | null = everything;
  for (const [name, value] of Object.entries(set)) {
    const here = `${at}.${name}`;
    const read = ownOf(matchers, name)?.(value, here, path, notes);
    if (read === undefined) return { fault: 'is a matcher that routes do not have', at: here };
    if ('fault' in read) return { at: here, ...read };
    scope = scope && intersect(scope, { ...everything, ...read });
  }
  return { scope };
}

type Read = Partial<Scope> | { fault: string; at?: string };

const matchers: Record<string, (value: unknown, at: string, path: PathSoFar, notes: Notes) => Read> = {
  host: readHosts,
  path: readPaths,
  method(value) {
    const methods = textsAt(value);
    return methods === null
      ? { fault: 'is no list of methods' }
      : { methods: methods.map((one) => one.toUpperCase()) };
  },
  header: (value) => readConditions(value, 'headers'),
  query: (value) => readConditions(value, 'query'),
  protocol(value): Read {
    // What comes in plain HTTP is led to https by the edges.
    return value === 'https' || value === 'http/1.1'
      ? {}
      : { fault: `tells "${String(value)}" apart, which routes do not` };
  },
};

function readHosts(value: unknown, at: string, _: PathSoFar, notes: Notes): Read {
  const given = textsAt(value);
  if (given === null) return { fault: 'is no list of hosts' };
  const hosts = given.flatMap((host, index) => {
    try {
      if (hasPlaceholder(host)) throw new Error('has a placeholder');
      if (hostOfAddress(host) !== null)
        throw new Error(
          'is an IP address: give it a route of its own, with an issuer that certifies addresses',
        );
      const normal = normaliseHost(host);
      if (normal.replace('*.', '').includes('.')) return [normal];
      throw new Error('is a single label, for which no certificate is obtained');
    } catch (error) {
      const why = isAppError(error) ? error.message : `"${host}" ${(error as Error).message}`;
      notes.leftOut(`${at}.${index}`, why);
      return [];
    }
  });
  return { hosts: [...new Set(hosts)] };
}

function readPaths(value: unknown, at: string, { stripped, replaced }: PathSoFar, notes: Notes): Read {
  const given = textsAt(value);
  if (given === null) return { fault: 'is no list of paths' };
  if (replaced) return { fault: 'looks at a path that a rewrite has made' };
  const paths: string[] = [];
  for (const [index, pattern] of given.entries()) {
    const path = pathOf(pattern);
    if (path === null)
      return {
        fault: `has "${pattern}", where * stands elsewhere than behind the last /`,
        at: `${at}.${index}`,
      };
    if (/[^/]\*$/.test(pattern))
      notes.told(
        `${at}.${index}`,
        `"${pattern}" is carried as ${path} and what is below it: paths end at a /`,
      );
    paths.push(
      stripped === ''
        ? path
        : path === '/'
          ? stripped
          : path.startsWith('=')
            ? `=${stripped}${path.slice(1)}`
            : stripped + path,
    );
  }
  return { paths: [...new Set(paths)] };
}

function pathOf(pattern: string): string | null {
  if (pattern === '*' || pattern === '/*') return '/';
  if (!pattern.startsWith('/') || hasPlaceholder(pattern)) return null;
  const body = pattern.replace(/\*$/, '');
  if (body.includes('*')) return null;
  if (body === pattern) return `=${pattern}`;
  return body.replace(/\/$/, '') || '/';
}

function readConditions(value: unknown, place: 'headers' | 'query'): Read {
  if (!isFields(value)) return { fault: 'is no set of names and values' };
  const conditions: Condition[] = [];
  for (const [name, values] of Object.entries(value)) {
    if (values === null) {
      conditions.push({ name, present: false });
      continue;
    }
    const texts = textsAt(values);
    if (texts === null || texts.length > 1)
      return { fault: `wants one of several values of "${name}"; routes look for one` };
    const [text] = texts;
    if (text === undefined || text === '*') conditions.push({ name, present: true });
    else if (text.includes('*') || hasPlaceholder(text) || name === '*' || /^host$/i.test(name))
      return { fault: `looks for "${text}" in "${name}"; routes compare whole values alone` };
    else conditions.push({ name, equals: text });
  }
  return { [place]: conditions };
}

/** Sets that differ in their hosts or in their paths alone are one. */
function merged(scopes: Scope[]): Scope[] {
  return (['paths', 'hosts'] as const).reduce((all, field) => {
    const groups = new Map<string, Scope>();
    for (const scope of all) {
      const key = JSON.stringify({ ...scope, [field]: scope[field] === null ? null : [] });
      const known = groups.get(key);
      if (known === undefined) groups.set(key, scope);
      else
        groups.set(key, {
          ...known,
          [field]: [...new Set([...(known[field] ?? []), ...(scope[field] ?? [])])],
        });
    }
    return [...groups.values()];
  }, scopes);
}
