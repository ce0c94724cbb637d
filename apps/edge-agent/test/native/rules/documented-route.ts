/** A section of docs/routes.md: routes and settings, and what becomes of requests then. */
export interface DocumentedSection {
  heading: string;
  /** Bodies of `PUT /v1/routes/{id}`, and of `PATCH /v1/settings`. */
  routes: Record<string, unknown>[];
  settings: Record<string, unknown>[];
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

/** Reads the page: under a heading blocks of JSON, each a route or the settings, and blocks of HTTP behind them. */
export function readDocumentedRoutes(markdown: string): DocumentedSection[] {
  const sections: DocumentedSection[] = [];
  for (const match of markdown.matchAll(/^#+ (.+)$|^```(json|http)\n([\s\S]*?)^```$/gm)) {
    const [, heading, language, text = ''] = match;
    if (heading !== undefined) sections.push({ heading, routes: [], settings: [], cases: [] });
    const section = sections.at(-1)!;
    if (language === 'http') section.cases.push(readCase(text));
    if (language !== 'json') continue;
    const body = JSON.parse(text);
    if (body.edge === undefined) section.routes.push(body);
    else section.settings.push(body);
  }
  return sections.filter(({ routes, settings }) => routes.length + settings.length > 0);
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
