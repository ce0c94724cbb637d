import { createHash } from 'node:crypto';

const plain = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const encodedPrefix = 'caddy-';
const longestEncoded = 128;

/**
 * The id of the route for an `@id` of Caddy's, of any form. One that can be a route's stays; any other is encoded, so that no two of them
 * become one.
 */
export function routeIdOf(caddyId: string): string {
  if (plain.test(caddyId) && !caddyId.startsWith(encodedPrefix)) return caddyId;
  const encoded = encodedPrefix + Buffer.from(caddyId).toString('base64url');
  return encoded.length <= longestEncoded ? encoded : encodedPrefix + digest(caddyId).slice(0, 64);
}

/** The id of a route that had none: of what it serves, so that the same import finds it again. */
export function idOfWhatIsServed(hosts: string[], paths: string[], rest: unknown): string {
  const [host = ''] = hosts;
  const [path = '/'] = paths;
  const readable = `${host.replace('*', 'any')}${path === '/' ? '' : path}`
    .replace(/[^A-Za-z0-9.-]+/g, '_')
    .slice(0, 90);
  const alone = hosts.length === 1 && paths.length === 1 && rest === undefined && /^[/a-z0-9.-]*$/.test(path);
  return alone ? readable : `${readable}_${digest(JSON.stringify([hosts, paths, rest])).slice(0, 10)}`;
}

export function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
