import { createHash } from 'node:crypto';
import { CaddyFault, changeAt, type TreeMethod, valueAt } from '@lockstep/caddy';
import type { WriteOrigin } from '../changes/writes.ts';
import { type CaddyRoute, type CaddyRoutes, Outdated, refused } from './caddy-routes.ts';
import type { CaddyTls } from './caddy-tls.ts';

export interface CaddyCall {
  method: string;
  /** The path, decoded, without the empty parts at its ends. */
  segments: string[];
  body: unknown;
  /** `"<path> <hash>"` */
  ifMatch: string | undefined;
  origin: WriteOrigin;
}

/** `value` is left out where the answer has no body. */
export interface CaddyAnswer {
  value?: unknown;
  etag?: string;
}

/** Does what a call of Caddy's admin API asks for, or throws `CaddyFault`. */
export type CaddyCalls = (call: CaddyCall) => Promise<CaddyAnswer>;

const mostTries = 10;
/** Of a path: an id with slashes in it, and a way through a body that is as deep as one may be. Each part is looked for. */
const mostParts = 200;
const writes: readonly string[] = ['POST', 'PUT', 'PATCH', 'DELETE'] satisfies TreeMethod[];

export function createCaddyCalls({ routes, tls }: { routes: CaddyRoutes; tls: CaddyTls }): CaddyCalls {
  async function read(segments: readonly string[], bounds: WriteOrigin['bounds']): Promise<Seen> {
    if (segments[0] === 'id') {
      const { route, rest } = await findRoute(segments.slice(1), bounds);
      return { value: valueAt(route.body, rest, `/id/${route.caddyId ?? route.id}`), from: [route] };
    }
    const from = await routes.list(bounds);
    const tree = configOf(from);
    // A server that has no routes yet may have some as soon as somebody posts one.
    const [, apps, http, servers, , routesOf, ...more] = segments;
    const server = [apps, http, servers].join('/') === 'apps/http/servers';
    if (server && routesOf === 'routes' && more.length === 0)
      return { value: routesAt(tree, segments[4]!), from };
    return { value: valueAt(tree, segments.slice(1), '/config'), from };
  }

  /** An id may have slashes in it: the longest that is one counts. */
  async function findRoute(
    parts: readonly string[],
    bounds: WriteOrigin['bounds'],
  ): Promise<{ route: CaddyRoute; rest: string[] }> {
    if (parts.join('') === '') throw new CaddyFault(400, 'request path is missing object ID');
    const most = parts.length > mostParts ? 0 : parts.length;
    for (let length = most; length > 0; length -= 1) {
      const named = await routes.find(parts.slice(0, length).join('/'), bounds);
      if (named !== null) return { route: named.route, rest: [...named.path, ...parts.slice(length)] };
    }
    throw new CaddyFault(404, `unknown object ID '${parts[0] ?? ''}'`);
  }

  /** `route`: what is to be changed, as it was read. Throws `Outdated` where what is compared has another state of it. */
  async function checkMatch(
    ifMatch: string | undefined,
    bounds: WriteOrigin['bounds'],
    route?: CaddyRoute,
  ): Promise<void> {
    if (ifMatch === undefined) return;
    const [, path, hash] = /^"(\/\S*) (\S+)"$/.exec(ifMatch) ?? [];
    if (path === undefined) throw new CaddyFault(400, 'malformed If-Match header; expect quoted string');
    const { value, from } = await read(segmentsOf(path), bounds);
    if (hashOf(value) !== hash)
      throw new CaddyFault(412, 'If-Match header did not match current config hash');
    const compared = from.find(({ id }) => id === route?.id);
    if (compared !== undefined && compared.revision !== route?.revision) throw new Outdated();
  }

  async function changeById(call: CaddyCall): Promise<CaddyAnswer> {
    const { segments, origin, ifMatch } = call;
    const { route, rest } = await findRoute(segments.slice(1), origin.bounds);
    await checkMatch(ifMatch, origin.bounds, route);
    await changeRoute(route, rest, call);
    return {};
  }

  /** Again from what is there by now, where others were faster. */
  async function retrying(change: () => Promise<CaddyAnswer>): Promise<CaddyAnswer> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await change();
      } catch (error) {
        if (!(error instanceof Outdated) || tries === mostTries) throw error;
      }
    }
  }

  async function changeRoute(
    route: CaddyRoute,
    rest: string[],
    { method, body, origin, ifMatch }: Pick<CaddyCall, 'method' | 'body' | 'origin' | 'ifMatch'>,
  ): Promise<void> {
    if (rest.length > 0 && !(rest.length === 1 && rest[0] === '...')) {
      if (!route.whole)
        throw new CaddyFault(
          409,
          `the route was written elsewhere, and has what its JSON here does not say; change it at /v1/routes/${route.id}, or PATCH /id/${route.caddyId ?? route.id} with the whole of it`,
        );
      await routes.replace(
        origin,
        route,
        changeAt(route.body, rest, method as TreeMethod, body, `/id/${route.caddyId ?? route.id}`),
      );
    } else if (method === 'DELETE')
      await routes.remove(origin, ifMatch === undefined ? { id: route.id } : route);
    else if (method === 'PATCH') await routes.replace(origin, route, body);
    else await append(origin, route.server, rest.length > 0 ? body : [body]);
  }

  /** All of them, or none. */
  async function append(origin: WriteOrigin, server: string, bodies: unknown, first = false): Promise<void> {
    if (!Array.isArray(bodies)) throw new CaddyFault(400, 'final element is not an array');
    for (const body of bodies) routes.check(body);
    const made: string[] = [];
    try {
      for (const body of bodies) {
        const id = await routes.add(origin, server, body, first ? 'first' : 'last');
        if (id !== null) made.push(id);
      }
    } catch (error) {
      for (const id of made) await routes.remove(origin, { id });
      throw error;
    }
  }

  async function changeConfig(call: CaddyCall): Promise<CaddyAnswer> {
    const { method, segments, body, origin, ifMatch } = call;
    const [, apps, app, part, server = '', list, ...rest] = segments;
    if (apps === 'apps' && app === 'tls') {
      await tls.change(origin, method, segments.slice(3), body);
      return {};
    }
    if (apps !== 'apps' || app !== 'http' || part !== 'servers' || list !== 'routes')
      throw refused(
        `/${segments.join('/')}`,
        'is not kept here: edges have no configuration beside routes and certificates',
      );
    const [index, ...inside] = rest;
    if (method === 'POST' && (index === undefined || (index === '...' && inside.length === 0))) {
      await append(origin, server, index === undefined ? [body] : body);
      return {};
    }
    if (method === 'PUT' && index !== undefined && /^\d+$/.test(index) && inside.length === 0) {
      await append(origin, server, [body], index === '0');
      return {};
    }
    if (index === undefined)
      throw refused(
        `/${segments.join('/')}`,
        `is every route of a server, which no call changes at once; ${method} /id/{id} changes one`,
      );
    // Where a route stands changes with every other that comes or goes.
    if (ifMatch === undefined)
      throw refused(
        `/${segments.join('/')}`,
        'goes by a place, which other calls move: send If-Match with the Etag that GET told, or use /id/{id}',
      );
    const found = (await routes.list(origin.bounds)).filter((route) => route.server === server);
    const route = found[Number(index)];
    if (route === undefined)
      throw new CaddyFault(500, `[/${segments.join('/')}] array index out of bounds: ${index}`);
    await checkMatch(ifMatch, origin.bounds, route);
    await changeRoute(route, inside, call);
    return {};
  }

  return async (call) => {
    const { method, segments, origin } = call;
    const [root] = segments;
    if (root !== 'config' && root !== 'id') throw unknown(call);
    if (method === 'GET' || method === 'HEAD') {
      const { value } = await read(segments, origin.bounds);
      return { value, etag: `"/${segments.join('/')} ${hashOf(value)}"` };
    }
    if (!writes.includes(method)) throw new CaddyFault(405, `method ${method} not allowed`);
    if (root === 'id') return retrying(() => changeById(call));
    await checkMatch(call.ifMatch, origin.bounds);
    return retrying(() => changeConfig(call));
  };
}

/** What was read, and the routes that it is of. */
interface Seen {
  value: unknown;
  from: readonly CaddyRoute[];
}

/** What GET shows, as one tree. */
function configOf(all: readonly CaddyRoute[]): object {
  // A server may have any name.
  const servers: Record<string, { listen: string[]; routes: unknown[] }> = Object.create(null);
  for (const { server, body } of all) {
    servers[server] ??= { listen: [':443'], routes: [] };
    servers[server].routes.push(body);
  }
  return { apps: { http: { servers } } };
}

function routesAt(tree: object, server: string): unknown {
  const { servers } = (tree as { apps: { http: { servers: Record<string, { routes: unknown[] }> } } }).apps
    .http;
  return Object.hasOwn(servers, server) ? servers[server]!.routes : null;
}

function unknown({ segments }: CaddyCall): CaddyFault {
  const [root = ''] = segments;
  if (['load', 'stop', 'adapt'].includes(root))
    return refused(
      `/${root}`,
      'is for one Caddy, and not for a fleet; `lockstep import caddy` takes over a whole configuration',
    );
  return new CaddyFault(404, '404 page not found');
}

function hashOf(value: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(value ?? null))
    .digest('hex')
    .slice(0, 16);
}

export function segmentsOf(path: string): string[] {
  return path
    .replace(/^\/+|\/+$/g, '')
    .split('/')
    .map(decodeURIComponent);
}
