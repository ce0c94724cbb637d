import { addressOfHost } from '../../shared/host-address.ts';
import { wildcardOf } from '../../shared/hostname.ts';
import { otherName } from '../../shared/served-hosts.ts';

/** What says how upstreams are spoken to, and means nothing without. */
const ofUpstreams = ['balance', 'health', 'retries', 'timeouts', 'limits', 'rewrite'] as const;

/** What of a route one of its fields may be at odds with. */
interface Given
  extends Partial<Record<Exclude<(typeof ofUpstreams)[number], 'rewrite'>, object | undefined>> {
  upstreams?: object[] | undefined;
  response?: object | undefined;
  hosts: string[];
  paths: string[];
  methods?: string[] | undefined;
  match?: object | undefined;
  alsoServe?: 'www' | 'apex' | undefined;
  redirect?: { to: string; keepPath: boolean } | undefined;
  plainHttp?: string | undefined;
  clientCertificates?: { mode: 'require' | 'request' } | undefined;
  rewrite?: { stripPrefix?: string | undefined } | undefined;
}

interface RouteFault {
  path: (string | number)[];
  message: string;
}

/** What could never be served, though each field by itself could. */
export function* routeFaults(route: Given): Generator<RouteFault> {
  yield* alsoServeFaults(route);
  yield* redirectFaults(route);
  yield* rewriteFaults(route);
  const { upstreams, redirect, response } = route;
  const target = redirect !== undefined ? 'redirect' : response !== undefined ? 'response' : null;
  if (upstreams === undefined && target !== null) {
    const message = `says how upstreams are asked, of which a route with ${target} has none; leave it out`;
    for (const field of ofUpstreams) if (route[field] !== undefined) yield { path: [field], message };
  }
  if (route.plainHttp === 'serve' && route.clientCertificates?.mode === 'require') {
    const message =
      'cannot be serve beside clientCertificates that are required: nobody can show one there; say redirect or refuse';
    yield { path: ['plainHttp'], message };
  }
}

const maxHostLength = 253;

function* alsoServeFaults({ hosts, alsoServe }: Given): Generator<RouteFault> {
  if (alsoServe === undefined) return;
  for (const host of hosts) {
    const other = otherName(host, alsoServe);
    const message = host.startsWith('*.')
      ? `"${host}" is a wildcard, which has no other name; give it a route of its own`
      : addressOfHost(host) !== null
        ? `"${host}" is an IP address, which has no other name; give it a route of its own`
        : other === null
          ? `"${host}" ${alsoServe === 'www' ? 'begins with www. already; say apex' : 'has no www. before it; say www'}, or give it a route of its own`
          : hosts.includes(other)
            ? `"${other}" is a host of this route already; leave it out of hosts, or leave alsoServe out`
            : other.length > maxHostLength
              ? `"${other}" is longer than a name may be`
              : null;
    if (message !== null) yield { path: ['alsoServe'], message };
  }
}

const target = /^(?:(?:https?|\{scheme\}):\/\/(\{host\}|[^/?#{]+))?([^?#]*)/;

function* redirectFaults({ hosts, paths, methods, match, redirect }: Given): Generator<RouteFault> {
  // What a client asks for next may then be another route's.
  if (redirect === undefined || match !== undefined || methods !== undefined) return;
  const { to, keepPath } = redirect;
  const [, host, path = ''] = target.exec(to) ?? [];
  const named = host?.toLowerCase();
  const own =
    named === undefined ||
    named === '{host}' ||
    hosts.includes(named) ||
    hosts.includes(wildcardOf(named) ?? named);
  if (!own) return;
  // Another path may be another route's, so that only the same one is sure to come back.
  const leadsBack = paths.every((one) => {
    const probes = one.startsWith('=') ? [one.slice(1)] : [one, `${one}/probe`];
    return probes.map(normal).every((asked) => {
      return normal(`/${path.replaceAll('{path}', asked)}/${keepPath ? asked : ''}`) === asked;
    });
  });
  if (!leadsBack) return;
  const message = 'leads to the address that was asked for; name another host, or another path';
  yield { path: ['redirect', 'to'], message };
}

function normal(path: string): string {
  return path.replace(/\/{2,}/g, '/').replace(/(?<=.)\/$/, '');
}

function isServed(served: string, path: string): boolean {
  if (served.startsWith('=')) return path === served.slice(1);
  return served === '/' || path === served || path.startsWith(`${served}/`);
}

function* rewriteFaults({ paths, rewrite }: Given): Generator<RouteFault> {
  const prefix = rewrite?.stripPrefix;
  if (prefix === undefined) return;
  const meets = paths.some((path) => isServed(path, prefix) || isServed(prefix, path.replace(/^=/, '')));
  if (meets) return;
  const message = `no path of this route begins with ${prefix}; name one that does, or leave it out`;
  yield { path: ['rewrite', 'stripPrefix'], message };
}
