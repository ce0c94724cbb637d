import type { RouteRecord } from '@lockstep/contract';
import type { AnswerRule, RequestRule } from './rule.ts';
import type { RuledRequest } from './ruled-request.ts';
import { compileTemplate, type Template } from './template.ts';

interface Setting {
  name: string;
  lower: string;
  value: Template;
}

type Given = NonNullable<NonNullable<RouteRecord['headers']>['request' | 'response']>;

/** `headers.request` of a route. */
export function compileRequestHeaders({ headers }: RouteRecord, route: string): RequestRule | null {
  const change = compileChange(headers?.request, route);
  if (change === null) return null;
  return {
    change(request) {
      request.headers = change(request.headers, request, false);
    },
  };
}

/** `headers.response` of a route. */
export function compileAnswerHeaders({ headers }: RouteRecord, route: string): AnswerRule | null {
  const change = compileChange(headers?.response, route);
  return change === null ? null : { change };
}

function compileChange(given: Given | undefined, route: string): AnswerRule['change'] | null {
  if (given === undefined) return null;
  const set = settings(given.set, route);
  const add = settings(given.add, route);
  const gone = new Set([
    ...(given.remove ?? []).map((name) => name.toLowerCase()),
    ...set.map(({ lower }) => lower),
  ]);
  if (gone.size === 0 && add.length === 0) return null;
  return (fields, request, overHttp2) => {
    const out = gone.size === 0 ? fields : without(fields, gone);
    put(out, set, request, overHttp2);
    put(out, add, request, overHttp2);
    return out;
  };
}

/** Fields of an answer that a route gives itself. */
export function compileFields(given: Given['add'], route: string): (request: RuledRequest) => string[] {
  const all = settings(given, route);
  return (request) => all.flatMap(({ name, value }) => [name, value(request)]);
}

function settings(given: Given['add'] = {}, route: string): Setting[] {
  return Object.entries(given).flatMap(([name, values]) =>
    [values]
      .flat()
      .map((value) => ({ name, lower: name.toLowerCase(), value: compileTemplate(value, route) })),
  );
}

function without(fields: string[], gone: ReadonlySet<string>): string[] {
  const out: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    if (!gone.has(fields[i]!.toLowerCase())) out.push(fields[i]!, fields[i + 1]!);
  }
  return out;
}

function put(out: string[], set: readonly Setting[], request: RuledRequest, overHttp2: boolean): void {
  for (const { name, lower, value } of set) out.push(overHttp2 ? lower : name, value(request));
}
