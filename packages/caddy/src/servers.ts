import type { PutRoute } from '@lockstep/contract/schemas';
import type { Notes } from './notes.ts';
import { type PlannedRoute, planRoutes } from './planned-route.ts';
import { type Fields, fieldsAt, isFields, listAt, textAt, textsAt } from './read-json.ts';
import { everything, hostCovers, intersect } from './scope.ts';
import { pemOf } from './transport.ts';
import { type Leaf, type Walk, walkRoutes } from './tree.ts';

export interface ServedLeaf extends Leaf {
  more: Partial<PutRoute>;
}

/** What edges say for themselves, or what is set where they start. */
const known = [
  'listen',
  'routes',
  'tls_connection_policies',
  'automatic_https',
  'named_routes',
  'logs',
  'metrics',
  'protocols',
  'trusted_proxies',
  'client_ip_headers',
  'read_timeout',
  'read_header_timeout',
  'write_timeout',
  'idle_timeout',
  'keepalive_interval',
  'strict_sni_host',
  'enable_full_duplex',
  'trusted_proxies_strict',
];
const settingOf: Record<string, string> = {
  trusted_proxies: 'say which balancers and CDNs are in front in settings.edge.trustedProxies',
  logs: 'edges have an access log of their own: settings.edge.accessLog',
  errors: 'pages for errors are settings.edge.pages, and pages of a route',
};

/** All that the servers of `apps.http` answer, with hosts or without. */
export function readServers(value: unknown, at: string, notes: Notes): ServedLeaf[] {
  const http = fieldsAt(value);
  notes.unread(
    http,
    at,
    ['servers'],
    ['http_port', 'https_port', 'grace_period', 'shutdown_delay', 'metrics'],
  );
  const servers = Object.entries(fieldsAt(http.servers)).map(([name, server]) => ({
    at: `${at}.servers.${name}`,
    server: fieldsAt(server),
    plain: isPlain(fieldsAt(server), http.http_port),
  }));
  const leaves: ServedLeaf[] = [];
  // Those in the clear come last: what is served over https as well is led there.
  for (const one of servers.sort((a, b) => Number(a.plain) - Number(b.plain))) {
    const served = readServer(one.server, one.at, notes);
    for (const leaf of served) {
      if (
        one.plain &&
        leaves.some((other) => other.scope.hosts !== null && intersect(other.scope, leaf.scope) !== null)
      )
        notes.told(leaf.at, 'is not needed: its hosts are served over https, where edges lead plain HTTP');
      else leaves.push(one.plain ? { ...leaf, more: { ...leaf.more, plainHttp: 'serve' } } : leaf);
    }
  }
  return leaves;
}

function isPlain(server: Fields, httpPort: unknown): boolean {
  if (fieldsAt(server.automatic_https).disable === true && server.tls_connection_policies === undefined)
    return true;
  const listen = textsAt(server.listen) ?? [];
  return (
    listen.length > 0 &&
    listen.every((one) => one.endsWith(`:${typeof httpPort === 'number' ? httpPort : 80}`))
  );
}

function readServer(server: Fields, at: string, notes: Notes): ServedLeaf[] {
  for (const name of Object.keys(server)) {
    const where = settingOf[name];
    if (where !== undefined) notes.told(`${at}.${name}`, `is not carried: ${where}`);
    else if (!known.includes(name)) notes.without(`${at}.${name}`, 'cannot be carried');
  }
  const walk: Walk = { notes, named: fieldsAt(server.named_routes), leaves: [], answered: [] };
  walkRoutes(walk, server.routes, `${at}.routes`, startOf());
  const policies = listAt(server.tls_connection_policies).map(fieldsAt);
  return walk.leaves.flatMap((leaf) => withClients(leaf, policies, `${at}.tls_connection_policies`, notes));
}

export function startOf() {
  return { scope: everything, steps: [], id: null, stripped: '', replaced: false };
}

/** Hosts whose clients have to show certificates must not be served without. */
function withClients(leaf: Leaf, policies: Fields[], at: string, notes: Notes): ServedLeaf[] {
  const asking = policies.findIndex((policy) => {
    const sni = textsAt(fieldsAt(policy.match).sni);
    const hosts = leaf.scope.hosts ?? [];
    return (
      sni === null ||
      hosts.some((host) => sni.some((name) => hostCovers(name, host) || hostCovers(host, name)))
    );
  });
  const authentication = policies[asking]?.client_authentication;
  if (!isFields(authentication)) return [{ ...leaf, more: {} }];
  const here = `${at}.${asking}.client_authentication`;
  const ca = fieldsAt(authentication.ca);
  const roots =
    textsAt(authentication.trusted_ca_certs) ??
    (textAt(ca.provider) === 'inline' ? textsAt(ca.trusted_ca_certs) : null);
  const mode = textAt(authentication.mode) ?? (roots === null ? 'require' : 'require_and_verify');
  const modes: Record<string, 'require' | 'request'> = {
    require_and_verify: 'require',
    verify_if_given: 'request',
  };
  if (roots === null || roots.length === 0 || modes[mode] === undefined) {
    notes.leftOut(
      here,
      'cannot be carried, and its hosts are left out with it: give their routes clientCertificates',
    );
    return [];
  }
  return [{ ...leaf, more: { clientCertificates: { ca: roots.map(pemOf).join(''), mode: modes[mode] } } }];
}

/** The routes of all leaves that have hosts. */
export function routesOf(
  leaves: ServedLeaf[],
  notes: Notes,
): { route: PlannedRoute; caddyId: string | null }[] {
  return leaves.flatMap((leaf) =>
    planRoutes(leaf, leaf.more, notes).map((route) => ({ route, caddyId: leaf.id })),
  );
}
