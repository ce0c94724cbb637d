import type { PutRoute } from '@lockstep/contract/schemas';

interface FieldChanges {
  set: Record<string, string>;
  add: Record<string, string[]>;
  remove: string[];
}

/** What becomes of the requests of one scope, as it is put together on the way through Caddy's handlers. */
export interface Draft {
  request: FieldChanges;
  response: FieldChanges;
  fields: Partial<Omit<PutRoute, 'hosts' | 'paths' | 'id' | 'headers'>>;
}

export function emptyDraft(): Draft {
  const nothing = (): FieldChanges => ({ set: {}, add: {}, remove: [] });
  return { request: nothing(), response: nothing(), fields: {} };
}

export type Side = 'request' | 'response';

/** In the place of what was set or added before. */
export function setField(draft: Draft, side: Side, name: string, values: string[]): void {
  forget(draft, side, name);
  const [first, ...more] = values;
  if (first === undefined) return;
  draft[side].set[name] = first;
  if (more.length > 0) draft[side].add[name] = more;
}

export function addField(draft: Draft, side: Side, name: string, values: string[]): void {
  const added = draft[side].add;
  const known = Object.keys(added).find((other) => same(other, name)) ?? name;
  added[known] = [...(added[known] ?? []), ...values];
}

export function removeField(draft: Draft, side: Side, name: string): void {
  forget(draft, side, name);
  if (!draft[side].remove.some((other) => same(other, name))) draft[side].remove.push(name);
}

/** The part of a route that this is. */
export function headersOf({ request, response }: Draft): PutRoute['headers'] | undefined {
  const [asked, answered] = [given(request), given(response)];
  if (asked === undefined && answered === undefined) return undefined;
  return { ...(asked && { request: asked }), ...(answered && { response: answered }) };
}

function given({ set, add, remove }: FieldChanges) {
  const has = {
    set: Object.keys(set).length > 0,
    add: Object.keys(add).length > 0,
    remove: remove.length > 0,
  };
  if (!has.set && !has.add && !has.remove) return undefined;
  return { ...(has.set && { set }), ...(has.add && { add }), ...(has.remove && { remove }) };
}

function forget(draft: Draft, side: Side, name: string): void {
  for (const values of [draft[side].set, draft[side].add])
    for (const other of Object.keys(values)) if (same(other, name)) delete values[other];
}

function same(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}
