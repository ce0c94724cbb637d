/** An example of docs/routes.md: a route, and what becomes of requests to it. */
export interface DocumentedRoute {
  heading: string;
  /** The body of `PUT /v1/routes/{id}`. */
  route: Record<string, unknown>;
  cases: DocumentedCase[];
}

export interface DocumentedCase {
  request: DocumentedHead;
  /** What the upstream receives; null where the page does not say. */
  received: DocumentedHead | null;
  answer: { status: number; fields: [string, string][]; body: string | null };
}

export interface DocumentedHead {
  method: string;
  path: string;
  fields: [string, string][];
}

/** Reads the page: under a heading a block of JSON with a route, and blocks of HTTP behind it. */
export function readDocumentedRoutes(markdown: string): DocumentedRoute[] {
  const found: DocumentedRoute[] = [];
  let heading = '';
  for (const match of markdown.matchAll(/^#+ (.+)$|^```(json|http)\n([\s\S]*?)^```$/gm)) {
    const [, title, language, text = ''] = match;
    if (title !== undefined) heading = title;
    else if (language === 'json') found.push({ heading, route: JSON.parse(text), cases: [] });
    else found.at(-1)!.cases.push(readCase(text));
  }
  return found;
}

function readCase(text: string): DocumentedCase {
  const [first = '', ...rest] = text.trim().split(/\n\n/);
  const at = rest.findIndex((part) => part.startsWith('HTTP/'));
  const [, status] = /^HTTP\/1\.1 (\d{3})/.exec(rest[at] ?? '') ?? [];
  if (status === undefined) throw new Error(`an example has no answer: ${text}`);
  return {
    request: readHead(first),
    received: at === 0 ? null : readHead(rest[0]!),
    answer: { status: Number(status), fields: readFields(rest[at]!), body: rest[at + 1] ?? null },
  };
}

function readHead(text: string): DocumentedHead {
  const [, method, path] = /^([A-Z]+) (\S+) HTTP\/1\.1/.exec(text) ?? [];
  if (method === undefined || path === undefined) throw new Error(`an example has no request: ${text}`);
  return { method, path, fields: readFields(text) };
}

function readFields(head: string): [string, string][] {
  return head
    .split('\n')
    .slice(1)
    .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]);
}
