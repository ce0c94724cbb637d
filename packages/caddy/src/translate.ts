import { PlainUpstream } from '@lockstep/contract/schemas';
import { hostsOnTheWay } from './hosts-on-the-way.ts';
import { type Automation, type PlannedIssuer, readAutomation } from './issuers.ts';
import { createNotes, type Note, type Notes } from './notes.ts';
import { nameRoutes, type PlannedRoute } from './planned-route.ts';
import { type Fields, fieldsAt, listAt, textAt, textsAt } from './read-json.ts';
import { type ReadFile, readServers, routesOf, type ServedLeaf, startOf } from './servers.ts';
import { createWalk, walkServer } from './tree.ts';

export type { PlannedIssuer } from './issuers.ts';
export type { PlannedRoute } from './planned-route.ts';

/** What Lockstep has to be told so that it serves what a Caddy does. */
export interface Plan {
  routes: PlannedRoute[];
  issuers: PlannedIssuer[];
  /** For hosts whose routes name no issuers. */
  chain: string[];
  /** Whether the configuration says so, or Caddy does by itself. */
  chosenChain: boolean;
  onDemand: { ask: string; upstreams: { url: string }[] } | null;
  /** Certificates that stand in the configuration. */
  certificates: { chain: string; key: string; at: string }[];
  certificateFiles: { certificate: string; key: string; at: string }[];
  certificateFolders: { folder: string; at: string }[];
  /** The folder of its storage, where the configuration names one. */
  storage: string | null;
  notes: readonly Note[];
}

export interface TranslateOptions {
  /** The text of a file that the configuration names, on the machine of that Caddy; throws, or null, where there is none to be had. Left out: none is. */
  readFile?: ReadFile;
}

/** Translates a whole configuration, as `caddy adapt`, `autosave.json` and `/config/` have it. */
export function translateCaddy(config: unknown, { readFile = () => null }: TranslateOptions = {}): Plan {
  const notes = createNotes();
  const root = fieldsAt(config);
  const apps = fieldsAt(root.apps);
  notes.unread(root, '', ['apps', 'storage'], ['admin', 'logging', '@id']);
  for (const app of Object.keys(apps))
    if (!['http', 'tls', 'pki'].includes(app))
      notes.leftOut(`apps.${app}`, 'is an app that there is nothing for here');
  const tls = fieldsAt(apps.tls);
  const automation = readAutomation(tls.automation, 'apps.tls.automation', notes);
  const leaves = readServers(apps.http, 'apps.http', notes, readFile);
  const onDemand = onDemandOf(leaves, automation, notes);
  const routes = nameRoutes(
    routesOf(
      leaves.filter(({ scope }) => scope.hosts !== null || onDemand === null),
      notes,
    ),
  );
  return {
    routes: routes.map((route) => withIssuers(route, automation, notes)),
    issuers: automation.issuers,
    chain: automation.chain,
    chosenChain: automation.chosen,
    onDemand,
    ...certificatesOf(fieldsAt(tls.certificates), notes),
    storage:
      textAt(fieldsAt(root.storage).module) === 'file_system' ? textAt(fieldsAt(root.storage).root) : null,
    notes: notes.all.map((note) => withHosts(config, { ...note, at: note.at.replace(/^\./, '') })),
  };
}

/** Translates one route, as it is posted to a server's `routes`. `at` is empty: what is told of it begins with the route's own fields. */
export function translateRoute(route: unknown): { routes: PlannedRoute[]; notes: readonly Note[] } {
  const notes = createNotes();
  const walk = createWalk(notes);
  walkServer(walk, [route], 'routes', startOf());
  const routes = nameRoutes(
    routesOf(
      walk.leaves.map((leaf) => ({ ...leaf, more: {} })),
      notes,
    ),
  );
  const ofRoute = <T extends { at: string }>(one: T): T => ({
    ...one,
    at: one.at.replace(/^routes\.0\.?/, ''),
  });
  return { routes: routes.map(ofRoute), notes: notes.all.map(ofRoute) };
}

/** What has no host is for names that handshakes ask for, where those may be had. */
function onDemandOf(leaves: ServedLeaf[], { onDemand, ask }: Automation, notes: Notes): Plan['onDemand'] {
  if (!onDemand) return null;
  if (ask === null) {
    notes.leftOut(
      'apps.tls.automation.on_demand',
      'names no endpoint to ask, without which no certificate is obtained on demand',
    );
    return null;
  }
  const [leaf, ...more] = leaves.filter(({ scope }) => scope.hosts === null);
  for (const other of more)
    notes.leftOut(
      other.at,
      'names on demand are sent to one place alone, that of the first route without hosts',
    );
  if (leaf === undefined) return { ask, upstreams: [] };
  const upstreams = (leaf.draft.fields.upstreams ?? []).map((one) => PlainUpstream.safeParse(one));
  const { upstreams: _, ...rest } = leaf.draft.fields;
  if (upstreams.length === 0 || upstreams.some(({ success }) => !success)) {
    notes.leftOut(
      leaf.at,
      'names on demand are sent to plain upstreams alone; give those names routes of their own',
    );
    return { ask, upstreams: [] };
  }
  if (Object.keys(rest).length > 0 || leaf.scope.paths[0] !== '/')
    notes.without(leaf.at, 'of names on demand all paths go to the upstreams as they are');
  return { ask, upstreams: upstreams.map(({ data }) => data!) };
}

function withIssuers(route: PlannedRoute, { chainOf }: Automation, notes: Notes): PlannedRoute {
  const chains = route.body.hosts.map(chainOf);
  const [chain = null] = chains;
  if (chains.some((other) => JSON.stringify(other) !== JSON.stringify(chain)))
    notes.without(
      route.at,
      'its hosts have different issuers in Caddy, and a route has one chain: that of its first host',
    );
  return chain === null ? route : { ...route, body: { ...route.body, issuers: chain } };
}

type Certificates = Pick<Plan, 'certificates' | 'certificateFiles' | 'certificateFolders'>;

function certificatesOf(given: Fields, notes: Notes): Certificates {
  const at = 'apps.tls.certificates';
  notes.unread(given, at, ['automate', 'load_pem', 'load_files', 'load_folders']);
  return {
    certificates: pairs(given.load_pem, `${at}.load_pem`).map(({ certificate, key, at }) => ({
      chain: certificate,
      key,
      at,
    })),
    certificateFiles: pairs(given.load_files, `${at}.load_files`),
    certificateFolders: (textsAt(given.load_folders) ?? []).map((folder, index) => ({
      folder,
      at: `${at}.load_folders.${index}`,
    })),
  };
}

function pairs(value: unknown, at: string): { certificate: string; key: string; at: string }[] {
  return listAt(value).flatMap((one, index) => {
    const [certificate, key] = [textAt(fieldsAt(one).certificate), textAt(fieldsAt(one).key)];
    return certificate === null || key === null ? [] : [{ certificate, key, at: `${at}.${index}` }];
  });
}

/** Who wrote a Caddyfile knows its sites, and not the places of the JSON that is made of it. */
function withHosts(config: unknown, note: Note): Note {
  const hosts = hostsOnTheWay(config, note.at);
  return hosts === null ? note : { ...note, hosts };
}
