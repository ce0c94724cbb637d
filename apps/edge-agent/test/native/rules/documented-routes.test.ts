import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { passwordOf, servedHosts } from '@lockstep/contract';
import { PutRoute } from '@lockstep/contract/schemas';
import { createEdgeSealer } from '@lockstep/pki';
import type { Change } from '@lockstep/store';
import t, { type Test } from 'tap';
import type { EdgeChange } from '../../configured-store.ts';
import { fetchPlain } from '../../fetch-plain.ts';
import { type Answer, type FetchOptions, fetchThrough, fetchThroughH2 } from '../../fetch-through.ts';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';
import { readDocumentedRoutes } from './documented-route.ts';

const page = new URL('../../../../../docs/routes.md', import.meta.url);
const sections = readDocumentedRoutes(await readFile(page, 'utf8'));
let received: IncomingMessage | null = null;
const upstream = await startUpstream(t, (request, response) => {
  received = request;
  response.writeHead(200, { server: 'shop/1.0', 'content-type': 'text/plain' }).end('from the upstream');
});
const edge = await startWorker(t);
const at = new Date().toISOString();

for (const { heading, routes, settings, cases } of sections) {
  t.test(`docs/routes.md, ${heading}: each example comes true, over both protocols`, async (t) => {
    const changes: Change[] = settings.map(({ edge: change }) =>
      edge.settingsChange(null, change as EdgeChange),
    );
    const hosts = new Set<string>();
    const ids: string[] = [];
    for (const route of routes) {
      const { id = heading, ...parsed } = PutRoute.parse(route);
      const upstreams = parsed.upstreams?.map((one) => ({ ...one, url: upstream.url }));
      const sealed = sealedSecretsOf(id, parsed.basicAuth);
      const value = { ...parsed, ...(upstreams && { upstreams }), ...sealed, createdAt: at, updatedAt: at };
      changes.push({ op: 'put', kind: 'route', id, value });
      ids.push(id);
      for (const host of servedHosts(parsed)) hosts.add(host);
    }
    for (const host of hosts) {
      const value = await edge.certificateRecord(host);
      changes.push({ op: 'put', kind: 'certificate', id: host, value });
    }
    await edge.applied(await edge.commit(...changes));
    t.teardown(async () => {
      const deletions = ids.map((id) => ({ op: 'delete', kind: 'route', id }) as const);
      await edge.applied(await edge.commit(...deletions, edge.settingsChange(null)));
    });
    t.same(edge.status().refusals, []);
    t.ok(cases.length > 0, 'there are examples');
    for (const { request, received: wanted, answer: told } of cases) {
      for (const fetch of request.path.startsWith('http://')
        ? [fetchPort80]
        : [fetchThrough, fetchThroughH2]) {
        received = null;
        const { Host: host = '', ...headers } = Object.fromEntries(request.fields);
        const { method, path } = request;
        const answer = await fetch({ port: edge.httpsPort, host, root: edge.root, method, path, headers });
        const what = `${fetch.name}: ${method} ${path}`;
        t.equal(answer.status, told.status, what);
        compare(t, withoutPort(answer.headers), told.fields, what);
        if (told.body !== null) t.equal(answer.body, told.body, what);
        if (wanted === null) continue;
        const seen = received as IncomingMessage | null;
        t.same(
          [seen?.method, seen?.url],
          [wanted.method, wanted.path],
          `${what}: what the upstream receives`,
        );
        compare(t, seen!.headers, wanted.fields, `${what}: to the upstream`);
      }
    }
  });
}

/** What a control plane makes of the passwords. */
function sealedSecretsOf(id: string, auth: PutRoute['basicAuth']): object {
  if (auth === undefined) return {};
  const secrets = auth.users.map(({ name, passwordHash }) => [passwordOf(name), passwordHash]);
  const sealer = createEdgeSealer(edge.edgeKey);
  return { sealedSecrets: sealer.seal(JSON.stringify(Object.fromEntries(secrets)), `route/${id}`) };
}

async function fetchPort80({ host, path = '/' }: FetchOptions): Promise<Answer> {
  return fetchPlain(edge.httpPort, path, host);
}

/** Over HTTP/2 a request names the port of the test, which the examples leave out. */
function withoutPort(headers: Answer['headers']): Answer['headers'] {
  const location = headers.location?.replace(`:${edge.httpsPort}`, '');
  return location === undefined ? headers : { ...headers, location };
}

/** `-` stands for a field that is not there. */
function compare(t: Test, headers: Record<string, unknown>, fields: [string, string][], what: string): void {
  for (const [name, value] of fields) {
    t.equal(headers[name.toLowerCase()], value === '-' ? undefined : value, `${what}: ${name}`);
  }
}
