import type { PutRoute } from '@lockstep/contract/schemas';
import type { Notes } from './notes.ts';
import { type PlannedRoute, planRoutes } from './planned-route.ts';
import { type Fields, fieldsAt, isFields, listAt, ownOf, textAt, textsAt } from './read-json.ts';
import { everything, hostCovers, intersect } from './scope.ts';
import { pemOf } from './transport.ts';
import { createWalk, type Leaf, walkServer } from './tree.ts';

/** The text of a file on the machine of the Caddy; throws, or null, where there is none to be had. */
export type ReadFile = (file: string) => string | null;

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
export function readServers(value: unknown, at: string, notes: Notes, readFile: ReadFile): ServedLeaf[] {
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
    const served = readServer(one.server, one.at, notes, readFile);
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

function readServer(server: Fields, at: string, notes: Notes, readFile: ReadFile): ServedLeaf[] {
  for (const name of Object.keys(server)) {
    const where = ownOf(settingOf, name);
    if (where !== undefined) notes.told(`${at}.${name}`, `is not carried: ${where}`);
    else if (!known.includes(name)) notes.without(`${at}.${name}`, 'cannot be carried');
  }
  const walk = createWalk(notes, fieldsAt(server.named_routes));
  walkServer(walk, server.routes, `${at}.routes`, startOf());
  const policies = listAt(server.tls_connection_policies).map(fieldsAt);
  const where = `${at}.tls_connection_policies`;
  return walk.leaves.flatMap((leaf) => withClients(leaf, policies, { at: where, notes, readFile }));
}

export function startOf() {
  return { scope: everything, steps: [], id: null, stripped: '', replaced: false };
}

/** Hosts whose clients have to show certificates must not be served without. */
function withClients(
  leaf: Leaf,
  policies: Fields[],
  { at, notes, readFile }: { at: string; notes: Notes; readFile: ReadFile },
): ServedLeaf[] {
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
  const read = clientsOf(authentication, readFile);
  if ('fault' in read) {
    notes.leftOut(
      here,
      `${read.fault}; its hosts are left out with it: give their routes clientCertificates`,
    );
    return [];
  }
  return [{ ...leaf, more: { clientCertificates: read } }];
}

const modes: Record<string, 'require' | 'request'> = {
  require_and_verify: 'require',
  verify_if_given: 'request',
};
const readOfClients = ['ca', 'trusted_ca_certs', 'trusted_ca_certs_pem_files', 'mode'];

function clientsOf(
  authentication: Fields,
  readFile: ReadFile,
): { ca: string; mode: 'require' | 'request' } | { fault: string } {
  const unread = Object.keys(authentication).find((name) => !readOfClients.includes(name));
  if (unread !== undefined) return { fault: `has "${unread}", which routes do not have` };
  const roots = rootsOf(authentication, readFile);
  if ('fault' in roots) return roots;
  const given = textAt(authentication.mode) ?? 'require_and_verify';
  const mode = ownOf(modes, given);
  if (mode === undefined)
    return { fault: `asks for certificates by the mode "${given}", which routes do not have` };
  return { ...roots, mode };
}

/** The CAs whose certificates clients show, as PEM. */
function rootsOf(authentication: Fields, readFile: ReadFile): { ca: string } | { fault: string } {
  const { ca: pool, trusted_ca_certs, trusted_ca_certs_pem_files } = authentication;
  const { provider, ...given } = fieldsAt(pool);
  if (provider !== undefined && provider !== 'inline' && provider !== 'file')
    return { fault: `takes the CAs from "${String(provider)}", which is not read here` };
  const inline = textsAt(given.trusted_ca_certs ?? trusted_ca_certs) ?? [];
  const files = textsAt(given.pem_files ?? trusted_ca_certs_pem_files) ?? [];
  const read: string[] = [];
  for (const file of files) {
    const text = textOf(file, readFile);
    if (text === null) return { fault: `takes the CAs of ${file}, which cannot be read here` };
    read.push(text.endsWith('\n') ? text : `${text}\n`);
  }
  const ca = [...inline.map(pemOf), ...read].join('');
  return ca === '' ? { fault: 'names no CAs whose certificates it takes' } : { ca };
}

function textOf(file: string, readFile: ReadFile): string | null {
  try {
    return readFile(file);
  } catch {
    return null;
  }
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
