import type { RouteRecord } from '@lockstep/contract';

/** What of a request says which route it is for. */
export interface RoutedRequest {
  readonly host: string;
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** Flat pairs. */
  readonly headers: readonly string[];
}

/** What a request has to have beside a host and a path. */
export interface RouteMatcher {
  /** Null: any. */
  readonly methods: ReadonlySet<string> | null;
  /** How many conditions there are: routes with more are asked first. */
  readonly conditions: number;
  /** Whether the conditions hold, whatever the method. */
  holds(request: RoutedRequest): boolean;
}

type Conditions = NonNullable<NonNullable<RouteRecord['match']>['query']>;

/** Null for a route that asks for nothing more. */
export function compileMatcher({ methods, match }: RouteRecord): RouteMatcher | null {
  if (methods === undefined && match === undefined) return null;
  const headers = (match?.headers ?? []).map((one) => ({ ...one, name: one.name.toLowerCase() }));
  const query = match?.query ?? [];
  return {
    // RFC 9110, section 9.3.2: HEAD is GET without the content.
    methods:
      methods === undefined
        ? null
        : new Set(methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : method))),
    conditions: headers.length + query.length,
    holds: (request) =>
      hold(headers, (name) => valuesOf(request.headers, name)) &&
      (query.length === 0 || queryHolds(query, request)),
  };
}

function queryHolds(query: Conditions, { path }: RoutedRequest): boolean {
  const mark = path.indexOf('?');
  const given = new URLSearchParams(mark === -1 ? '' : path.slice(mark + 1));
  return hold(query, (name) => given.getAll(name));
}

function hold(conditions: Conditions, valuesOf: (name: string) => string[]): boolean {
  return conditions.every(({ name, equals, present }) => {
    const values = valuesOf(name);
    return equals === undefined ? values.length > 0 === present : values.includes(equals);
  });
}

function valuesOf(headers: readonly string[], lower: string): string[] {
  const values: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    if (name.length === lower.length && name.toLowerCase() === lower) values.push(headers[i + 1]!);
  }
  return values;
}
