import type { Note, PlannedRoute } from '@lockstep/caddy';
import { tableOf } from '../output/table.ts';
import type { CaddyImport } from './caddy-import.ts';

const headingOf = {
  left_out: 'Left out:',
  without: 'Carried without:',
  told: 'To know:',
} as const satisfies Record<Note['level'], string>;

/** What would be done, as tables; with `json` as one document. No secret is in either. */
export function printPlan(todo: CaddyImport, json: boolean, print: (line: string) => void): void {
  if (json) {
    print(JSON.stringify(documentOf(todo), null, 2));
    return;
  }
  const { plan, lines } = todo;
  const table = (heading: string, headings: string[], rows: string[][]) => {
    if (rows.length === 0) return;
    print(`${heading}\n`);
    for (const line of tableOf(headings, rows)) print(`  ${line}`);
    print('');
  };
  table(`${plan.routes.length} routes`, ['ROUTE', 'HOSTS', 'PATHS', 'TO'], plan.routes.map(rowOf));
  table(
    `${todo.certificates.length} certificates`,
    ['CERTIFICATE', 'UNTIL', 'RENEWED BY'],
    todo.certificates.map(({ names, notAfter, issuer }) => [
      names.join(', '),
      notAfter.toISOString().slice(0, 10),
      issuer ?? 'nobody: bring its successor',
    ]),
  );
  table(
    'Issuers',
    ['ISSUER', 'AT'],
    todo.issuers.map(({ path, body }) => [path.split('/').at(-1)!, directoryOf(body)]),
  );
  if (todo.settings !== null) print(`Settings: ${JSON.stringify(todo.settings.body)}\n`);
  for (const level of ['left_out', 'without', 'told'] as const) {
    const notes: { at: string; detail: string; hosts?: string[] }[] = plan.notes.filter(
      (note) => note.level === level,
    );
    if (level === 'told') notes.push(...lines);
    if (notes.length === 0) continue;
    print(headingOf[level]);
    for (const { at, detail, hosts } of notes)
      print(`  ${hosts === undefined ? at : `${shortened(hosts)} at ${at}`}: ${detail}`);
    print('');
  }
}

function rowOf({ id, body }: PlannedRoute): string[] {
  const to =
    body.upstreams?.map(({ url }) => url).join(', ') ??
    (body.redirect === undefined
      ? `answers ${body.response?.status}`
      : `${body.redirect.status} to ${body.redirect.to}`);
  return [id, shortened(body.hosts), shortened(body.paths), to];
}

function shortened(all: string[]): string {
  return all.length > 3 ? `${all.slice(0, 3).join(', ')} and ${all.length - 3} more` : all.join(', ');
}

function directoryOf(body: unknown): string {
  const { directory, type } = body as { directory?: string; type?: string };
  return directory ?? type ?? '';
}

function documentOf({ plan, issuers, settings, certificates, lines }: CaddyImport) {
  return {
    routes: plan.routes.map(({ id, body, at }) => ({ id, at, ...withoutHashes(body) })),
    issuers: issuers.map(({ path, body }) => ({
      name: path.split('/').at(-1),
      directory: directoryOf(body),
    })),
    settings: settings?.body ?? null,
    certificates: certificates.map(({ names, notAfter, issuer }) => ({ names, notAfter, issuer })),
    notes: [...plan.notes, ...lines.map((line) => ({ level: 'told', ...line }))],
  };
}

function withoutHashes({ basicAuth, ...body }: PlannedRoute['body']) {
  if (basicAuth === undefined) return body;
  return {
    ...body,
    basicAuth: { realm: basicAuth.realm, users: basicAuth.users.map(({ name }) => ({ name })) },
  };
}
