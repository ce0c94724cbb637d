import { type Draft, emptyDraft } from './draft.ts';
import { type PathSoFar, readMatchers } from './matchers.ts';
import { middleware } from './middleware.ts';
import type { Fault, Notes } from './notes.ts';
import { type Fields, fieldsAt, isFields, listAt, numberAt, ownOf, textAt, textsAt } from './read-json.ts';
import { proxy } from './reverse-proxy.ts';
import { covers, intersect, pathCovers, type Scope } from './scope.ts';
import { answerStatically } from './static-response.ts';

/** Something that happens to the requests of a scope on their way to whatever answers them. */
interface Step {
  scope: Scope;
  at: string;
  /** Null: it cannot be carried, and nothing may be served without it. */
  apply: ((draft: Draft, notes: Notes) => Fault | null) | null;
  /** Why, where it cannot. */
  why?: string;
}

/** Where requests of a scope end. */
export interface Leaf {
  scope: Scope;
  draft: Draft;
  /** The `@id` that is nearest. */
  id: string | null;
  at: string;
}

interface Way extends PathSoFar {
  scope: Scope;
  steps: Step[];
  id: string | null;
}

export interface Walk {
  notes: Notes;
  named: Fields;
  leaves: Leaf[];
  /** What is answered already, in the order in which it stands there. */
  answered: Scope[];
  /** What cannot be carried, by where it stands, as long as nothing was met behind it that is left out for that. */
  stops: Map<string, string>;
}

export function createWalk(notes: Notes, named: Fields = {}): Walk {
  return { notes, named, leaves: [], answered: [], stops: new Map() };
}

/** Walks the routes of a server, as requests do: `leaves` of the walk are what answers them. */
export function walkServer(walk: Walk, routes: unknown, at: string, way: Way): void {
  walkRoutes(walk, routes, at, way);
  for (const [place, why] of walk.stops) walk.notes.leftOut(place, why);
}

/** Walks the routes of a server or a subroute. True when no request goes on behind it. */
function walkRoutes(walk: Walk, routes: unknown, at: string, way: Way): boolean {
  for (const [index, value] of listAt(routes).entries()) {
    const route = fieldsAt(value);
    const here = `${at}.${index}`;
    walk.notes.unread(route, here, ['@id', 'match', 'handle', 'terminal', 'group']);
    const matched = readMatchers(route.match, `${here}.match`, way, walk.notes);
    if ('fault' in matched) {
      leaveOut(walk, route, matched.at, matched.fault, way);
      continue;
    }
    for (const given of matched.scopes) {
      const scope = intersect(way.scope, given);
      if (scope === null) continue;
      const inner: Way = { ...way, scope, steps: [...way.steps], id: textAt(route['@id']) ?? way.id };
      const ended = walkHandlers(walk, route.handle, `${here}.handle`, inner);
      const whole = covers(scope, way.scope);
      if (ended && whole) return true;
      if (ended) continue;
      way.steps = inner.steps;
      if (whole) Object.assign(way, { stripped: inner.stripped, replaced: inner.replaced });
    }
  }
  return false;
}

/** Whoever would be kept out by what cannot be carried must not come in for want of it. */
function leaveOut(walk: Walk, route: Fields, at: string, fault: string, way: Way): void {
  const access = accessOf(route);
  if (access !== null) {
    way.steps.push({
      scope: way.scope,
      at,
      apply: (draft) => {
        const { allow, deny } = draft.fields.access ?? {};
        draft.fields.access = {
          ...draft.fields.access,
          ...(access.allow && { allow: access.allow }),
          ...(access.deny && { deny: [...(deny ?? []), ...access.deny] }),
          ...(allow && { allow }),
        };
        return null;
      },
    });
    return;
  }
  walk.notes.leftOut(at, fault);
  if (refuses(route.handle)) way.steps.push({ scope: way.scope, at, apply: null, why: fault });
}

/** Routes that refuse clients by their address: `remote_ip`, or its `not`, and a 403. */
function accessOf(route: Fields): { allow?: string[]; deny?: string[] } | null {
  const match = listAt(route.match);
  const [set] = match;
  const [handler] = listAt(route.handle);
  if (match.length !== 1 || !isFields(set) || Object.keys(set).length !== 1 || !isFields(handler))
    return null;
  const refused =
    handler.handler === 'static_response' &&
    (numberAt(handler.status_code) === 403 || handler.abort === true);
  if (!refused) return null;
  const not = listAt(set.not);
  const addresses = not.length === 1 ? fieldsAt(not[0]) : set.not === undefined ? set : {};
  if (Object.keys(addresses).length !== 1) return null;
  const ranges = textsAt(fieldsAt(addresses.remote_ip ?? addresses.client_ip).ranges);
  if (ranges === null || ranges.some((range) => range.includes('{'))) return null;
  return not.length === 1 ? { allow: ranges } : { deny: ranges };
}

function refuses(handle: unknown): boolean {
  return listAt(handle).some((value) => {
    const handler = fieldsAt(value);
    if (handler.handler === 'subroute')
      return listAt(handler.routes).some((route) => refuses(fieldsAt(route).handle));
    if (handler.handler === 'static_response' || handler.handler === 'error')
      return (
        handler.abort === true || (numberAt(handler.status_code) ?? 200) >= 400 || handler.handler === 'error'
      );
    return (
      handler.handler === 'authentication' ||
      (handler.handler === 'reverse_proxy' && handler.handle_response !== undefined)
    );
  });
}

function walkHandlers(walk: Walk, handle: unknown, at: string, way: Way): boolean {
  for (const [index, value] of listAt(handle).entries()) {
    if (walkHandler(walk, fieldsAt(value), `${at}.${index}`, way)) return true;
  }
  return false;
}

function walkHandler(walk: Walk, handler: Fields, at: string, way: Way): boolean {
  const name = textAt(handler.handler) ?? '';
  if (name === 'subroute') return walkRoutes(walk, handler.routes, `${at}.routes`, way);
  if (name === 'invoke')
    return walkRoutes(walk, [ownOf(walk.named, textAt(handler.name) ?? '')], `${at}.name`, way);
  const step = ownOf(middleware, name);
  if (step !== undefined) {
    // What it has to say, it says once, however many routes it is part of.
    const fault = step(emptyDraft(), handler, at, walk.notes);
    const apply = fault === null ? (draft: Draft, notes: Notes) => step(draft, handler, at, notes) : null;
    if (fault !== null) walk.stops.set(fault.at, fault.fault);
    way.steps.push({ scope: way.scope, at: fault?.at ?? at, apply, ...(fault && { why: fault.fault }) });
    if (name === 'rewrite') turn(way, handler);
    return false;
  }
  const terminal =
    name === 'static_response' || name === 'error' || name === 'reverse_proxy' || unserved.has(name);
  if (terminal && !goesOn(handler)) {
    end(walk, handler, at, way, way.scope);
    return true;
  }
  const fault = goesOn(handler)
    ? 'is asked before others answer, which routes cannot'
    : `"${name}" is a handler that routes do not have`;
  const place = goesOn(handler) ? `${at}.handle_response` : at;
  walk.stops.set(place, fault);
  way.steps.push({ scope: way.scope, at: place, apply: null, why: fault });
  return false;
}

/** Those that answer, with something that edges do not have. */
const unserved = new Set(['file_server', 'templates', 'acme_server', 'copy_response', 'php', 'respond']);

/** A proxy whose answer decides whether others are asked, as `forward_auth` makes it. */
function goesOn(handler: Fields): boolean {
  return handler.handler === 'reverse_proxy' && listAt(handler.handle_response).length > 0;
}

function turn(way: Way, handler: Fields): void {
  const strip = textAt(handler.strip_path_prefix);
  if (strip !== null) way.stripped += `/${strip.replace(/^\/+|\/+$/g, '')}`;
  if (
    Object.keys(handler).some((name) => !['handler', 'strip_path_prefix', 'query', 'method'].includes(name))
  )
    way.replaced = true;
}

/** Requests of `scope` are answered here: one leaf for all of them, and one for each part that something else happens to on its way. */
function end(walk: Walk, handler: Fields, at: string, way: Way, scope: Scope): void {
  const parts = remaining(walk.answered, scope);
  if (parts.length === 0) walk.notes.told(at, 'is never reached: what stands before it answers all of it');
  for (const step of way.steps) {
    for (const part of [...parts]) {
      const both = intersect(part, step.scope);
      if (both === null || covers(step.scope, part)) continue;
      if (!parts.some((other) => covers(other, both) && covers(both, other))) parts.push(both);
    }
  }
  for (const part of parts) {
    tellOrder(walk, part, at);
    // One that cannot be carried keeps out whoever it is for, and no route could tell those from others.
    const steps = way.steps.filter(
      (step) => covers(step.scope, part) || (step.apply === null && intersect(step.scope, part) !== null),
    );
    addLeaf(walk, handler, at, { ...way, scope: part, steps });
  }
  walk.answered.push(scope);
}

/** What of a scope is not answered yet. */
function remaining(answered: Scope[], scope: Scope): Scope[] {
  const groups = new Map<string, Scope>();
  for (const host of scope.hosts ?? [null]) {
    const hosts = host === null ? null : [host];
    const paths = scope.paths.filter(
      (path) => !answered.some((one) => covers(one, { ...scope, hosts, paths: [path] })),
    );
    if (paths.length === 0) continue;
    const key = JSON.stringify(paths);
    const known = groups.get(key);
    const all = known === undefined ? hosts : [...(known.hosts ?? []), ...(hosts ?? [])];
    groups.set(key, { ...scope, hosts: all, paths });
  }
  return [...groups.values()];
}

/** Caddy goes by the order in which routes stand there, edges by the exact host, the longest path, and then by what else is asked for. */
function tellOrder({ answered, notes }: Walk, scope: Scope, at: string): void {
  const narrower = answered.some((one) => {
    if (intersect(one, scope) === null || covers(one, scope)) return false;
    const conditions = one.methods !== null || one.headers.length + one.query.length > 0;
    const shorter = scope.paths.some((path) =>
      one.paths.some((other) => other !== path && pathCovers(other, path)),
    );
    return conditions && shorter;
  });
  if (narrower)
    notes.without(
      at,
      'comes after one with a shorter path and conditions, which Caddy asks first; here the longer path wins',
    );
}

function addLeaf(walk: Walk, handler: Fields, at: string, way: Way): void {
  const { notes } = walk;
  const stopped = way.steps.find((step) => step.apply === null);
  if (stopped !== undefined) {
    walk.stops.delete(stopped.at);
    notes.leftOut(stopped.at, `${stopped.why}; what is behind it is left out with it`);
    return;
  }
  const draft = emptyDraft();
  // It has been said already.
  const faults = way.steps.map((step) => step.apply?.(draft, silent) ?? null);
  const fault = faults.find((one) => one !== null) ?? answer(draft, handler, at, notes);
  if (fault === 'edge') notes.told(at, 'is not needed: edges lead plain HTTP to https by themselves');
  else if (fault !== null) notes.leftOut(fault.at, fault.fault);
  else walk.leaves.push({ scope: way.scope, draft, id: way.id, at });
}

function answer(draft: Draft, handler: Fields, at: string, notes: Notes) {
  if (handler.handler === 'reverse_proxy') return proxy(draft, handler, at, notes);
  if (handler.handler !== 'static_response' && handler.handler !== 'error')
    return { at, fault: `"${String(handler.handler)}" answers with something that edges do not have` };
  const done = answerStatically(draft, handler, at, notes);
  return done === 'done' ? null : done;
}

const silent: Notes = { all: [], leftOut() {}, without() {}, told() {}, unread() {} };
