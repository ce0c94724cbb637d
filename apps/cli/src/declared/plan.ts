import { isDeepStrictEqual } from 'node:util';
import type { Client, Route } from '@lockstep/client';
import type { DesiredState } from './desired-state.ts';
import { editableIssuer, editableRoute, settable } from './editable.ts';

type Tree = Record<string, unknown>;

/** One thing that differs: as it is, as it is to be; null for what is not there. */
export interface Change {
  kind: 'route' | 'issuer' | 'settings';
  name: string;
  before: Tree | null;
  after: Tree | null;
}

export interface PlanOptions {
  /** Whether routes that are not named are to go; of one tenant, or all. */
  prune: boolean;
  tenant?: string | undefined;
}

/** What has to change for the fleet to be as it is desired, in the order in which it can be changed. */
export async function planChanges(
  client: Client,
  desired: DesiredState,
  { prune, tenant }: PlanOptions,
): Promise<Change[]> {
  const changes: Change[] = [];
  const settings = partOf(settable(await client.settings.get()), desired.settings) as Tree;
  if (!isDeepStrictEqual(settings, desired.settings))
    changes.push({ kind: 'settings', name: '', before: settings, after: desired.settings as Tree });
  const issuers = new Map<string, Tree>();
  if (desired.issuers.size > 0)
    for await (const issuer of client.issuers.list()) issuers.set(issuer.name, editableIssuer(issuer));
  for (const [name, issuer] of desired.issuers) {
    const before = issuers.get(name) ?? null;
    const after = issuer as Tree;
    if (before === null || !isDeepStrictEqual(partOf(before, after), after))
      changes.push({ kind: 'issuer', name, before, after });
  }
  const routes = new Map<string, Route>();
  for await (const route of client.routes.list()) routes.set(route.id, route);
  // First what goes: its hosts may be another's from now on.
  if (prune)
    for (const [id, route] of routes)
      if (!desired.routes.has(id) && (tenant === undefined || route.tenant === tenant))
        changes.push({ kind: 'route', name: id, before: editableRoute(route), after: null });
  for (const [id, route] of desired.routes) {
    const found = routes.get(id);
    const before = found === undefined ? null : editableRoute(found);
    const after = route as unknown as Tree;
    if (before === null || !isDeepStrictEqual(before, { ...(partOf(before, defaults) as Tree), ...after }))
      changes.push({ kind: 'route', name: id, before, after });
  }
  return changes;
}

/** What a route has that says nothing of it. */
const defaults = { paths: ['/'] };

/** Of what there is, the fields that the other names, at any depth. */
function partOf(from: unknown, like: unknown): unknown {
  if (!isTree(from) || !isTree(like)) return from ?? null;
  return Object.fromEntries(Object.keys(like).map((name) => [name, partOf(from[name], like[name])]));
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
