/** A request as rules see it. */
export interface RuledRequest {
  readonly method: string;
  readonly host: string;
  /** The same with the port that the client named, if any. */
  readonly authority: string;
  readonly scheme: 'http' | 'https';
  /** Path and query as the client asked, normalised; whatever a rule makes of `path`. */
  readonly asked: string;
  readonly requestId: string;
  /** IPv4 in its own form. */
  readonly clientAddress: string;
  /** What the upstream receives: path and query, and its fields as flat pairs, of which the first is Host. */
  path: string;
  headers: string[];
}

/** The path without its query. */
export function pathOf(target: string): string {
  const query = target.indexOf('?');
  return query === -1 ? target : target.slice(0, query);
}

/** The query with its question mark; empty without one. */
export function queryOf(target: string): string {
  const query = target.indexOf('?');
  return query === -1 ? '' : target.slice(query);
}

/** The first value of a field, by its name in lower case. */
export function fieldOf({ headers }: RuledRequest, lower: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i]!.length === lower.length && headers[i]!.toLowerCase() === lower) return headers[i + 1];
  }
  return undefined;
}
