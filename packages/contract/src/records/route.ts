import type { PutRoute } from '../api/route.ts';
import { isCount, isFields, isList, isText } from '../shared/fields.ts';
import { namedHosts } from '../shared/served-hosts.ts';
import { recordKind } from './kind-module.ts';
import { type Shape, unknownField } from './shape.ts';

/** A route as the store keeps it and edges receive it. */
export interface RouteRecord extends Omit<PutRoute, 'id'> {
  /** Of its names those that wait for a proof of whose they are; left out where none does. */
  unproven?: string[] | undefined;
  /** What is secret of it, in JSON by name (`route-secrets.ts`); nowhere else in it. */
  sealedSecrets?: string | undefined;
  createdAt: string;
  updatedAt: string;
}

/**
 * The fields of a route that this revision serves by. It is what an edge refuses by: one that a later revision knows, and this does not,
 * would be served as if it were not there, and its node would be told to be live.
 */
export const routeShape: Shape<RouteRecord> = {
  hosts: true,
  alsoServe: true,
  paths: true,
  methods: true,
  match: {
    headers: { name: true, equals: true, present: true },
    query: { name: true, equals: true, present: true },
  },
  upstreams: {
    url: true,
    protocol: true,
    host: true,
    weight: true,
    backup: true,
    tls: { ca: true, serverName: true, clientCertificate: true, verify: true },
    proxyProtocol: true,
  },
  balance: { policy: true, hash: { by: true, name: true }, sticky: { cookie: true, maxAge: true } },
  health: {
    active: {
      path: true,
      method: true,
      intervalMs: true,
      timeoutMs: true,
      expectStatus: true,
      expectBody: true,
      healthyAfter: true,
      unhealthyAfter: true,
      host: true,
    },
    passive: { failures: true, withinMs: true, coolDownMs: true },
    slowStartMs: true,
    noneHealthy: true,
  },
  retries: { attempts: true, on: true },
  timeouts: { connectMs: true, firstByteMs: true, idleMs: true, totalMs: true },
  limits: { bodyBytes: true, connections: true, pending: true, pendingMs: true },
  redirect: { to: true, status: true, keepPath: true, keepQuery: true },
  response: { status: true, headers: true, body: true },
  rewrite: { stripPrefix: true, addPrefix: true, path: true },
  maintenance: { until: true, retryAfterSeconds: true },
  plainHttp: true,
  hsts: { maxAge: true, includeSubDomains: true, preload: true },
  pages: { 404: true, 421: true, 502: true, 503: true, 504: true },
  headers: {
    request: { set: true, add: true, remove: true },
    response: { set: true, add: true, remove: true },
  },
  access: { allow: true, deny: true },
  clientCertificates: { ca: true, mode: true },
  rateLimit: { requests: true, perMs: true, burst: true, by: { header: true } },
  basicAuth: { realm: true, users: { name: true, passwordHash: true } },
  unproven: true,
  sealedSecrets: true,
  compression: { types: true, minBytes: true },
  issuers: true,
  challenge: true,
  dns: { proxiedBy: true },
  tenant: true,
  metadata: true,
  createdAt: true,
  updatedAt: true,
};

export const route = recordKind<RouteRecord>()({
  kind: 'route',
  audience: 'edge',
  version: 1,
  secret: { sealedSecrets: 'edge' },
  journal: () => true,
  events(before, after, id) {
    const route = after ?? before;
    if (route === null || (before !== null && after !== null && sameToCallers(before, after))) return [];
    const type = before === null ? 'route.created' : after === null ? 'route.deleted' : 'route.updated';
    return [
      {
        type,
        subject: { kind: 'route', id },
        tenant: route.tenant,
        data: { hosts: namesOf(route), routes: [id] },
      },
    ];
  },
  fault: (route) => {
    const unknown = unknownField(route, routeShape);
    if (unknown !== null) return `has a field "${unknown}", which this revision of Lockstep does not know`;
    const { hosts, paths, alsoServe, unproven } = route;
    if (unproven !== undefined && !(isList(unproven) && unproven.every(isText)))
      return 'has unproven hosts that cannot be read';
    if (alsoServe !== undefined && alsoServe !== 'www' && alsoServe !== 'apex')
      return 'has an alsoServe that is neither www nor apex';
    return (
      optionalFault(route) ??
      matchersFault(route) ??
      hostsFault(hosts) ??
      (isList(paths) && paths.every((path) => isText(path) && /^=?\//.test(path))
        ? null
        : 'has a path that does not start with /, or none') ??
      targetFault(route)
    );
  },
});

/** What was there may be unreadable. */
function namesOf(route: RouteRecord): string[] {
  return isList(route.hosts) ? namedHosts(route) : [];
}

/**
 * What seals its secrets anew changes nothing that anybody sees; what changes them has another date too. What is proven of its names is told
 * by its state.
 */
function sameToCallers(before: RouteRecord, after: RouteRecord): boolean {
  const { sealedSecrets: _, unproven: _u, ...rest } = before;
  const { sealedSecrets: __, unproven: __u, ...other } = after;
  return JSON.stringify(rest) === JSON.stringify(other);
}

/** Of fields that a route need not have, and that may come from the defaults of all. */
export function optionalFault({
  timeouts,
  limits,
}: Partial<Record<keyof RouteRecord, unknown>>): string | null {
  return countsFault('timeouts', timeouts) ?? countsFault('limits', limits);
}

function matchersFault({ methods, match }: Partial<Record<keyof RouteRecord, unknown>>): string | null {
  if (methods !== undefined && !(isList(methods) && methods.every(isText)))
    return 'has methods that are none';
  if (match === undefined) return null;
  const { headers = [], query = [] } = isFields(match) ? match : { headers: null };
  const readable = [headers, query].every(
    (list) => Array.isArray(list) && list.every((one) => isFields(one) && isText(one.name)),
  );
  return readable ? null : 'has a match that cannot be read';
}

function targetFault({
  upstreams,
  redirect,
  response,
}: Partial<Record<keyof RouteRecord, unknown>>): string | null {
  if ([upstreams, redirect, response].filter((target) => target !== undefined).length > 1)
    return 'leads to two things at once';
  if (response !== undefined)
    return isFields(response) && isCount(response.status) ? null : 'has a response without a status';
  if (redirect !== undefined)
    return isFields(redirect) && isText(redirect.to) ? null : 'has a redirect to nowhere';
  return isList(upstreams) ? upstreamsFault(upstreams) : 'has no upstreams';
}

const servedHost =
  /^(?:\[[0-9a-f:.]{2,45}\]$|(?:\*\.)?[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$)/;
const maxHostLength = 253;
const origin = /^https?:\/\/[^\s/?#@\\]+\/?$/;
const socketPath = /^unix:\/[^\0]+$/;

export function hostsFault(hosts: unknown): string | null {
  if (!isList(hosts)) return 'has no hosts';
  for (const host of hosts) {
    if (!isText(host) || host.length > maxHostLength || !servedHost.test(host))
      return 'has a host that is none';
  }
  return null;
}

function countsFault(name: string, group: unknown): string | null {
  if (group === undefined || (isFields(group) && Object.values(group).every(isCount))) return null;
  return `has ${name} that are no numbers`;
}

export function upstreamsFault(upstreams: readonly unknown[]): string | null {
  for (const one of upstreams) {
    if (!isFields(one) || !isText(one.url)) return 'has an upstream without an address';
    if (socketPath.test(one.url)) continue;
    if (!origin.test(one.url) || !URL.canParse(one.url))
      return 'has an upstream that is not an http or https address, nor a unix socket';
  }
  return null;
}
