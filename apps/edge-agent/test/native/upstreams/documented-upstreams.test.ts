import { readFile } from 'node:fs/promises';
import { PutRoute } from '@lockstep/contract/schemas';
import t from 'tap';
import { fetchThrough } from '../../fetch-through.ts';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';

const page = new URL('../../../../../docs/upstreams.md', import.meta.url);
const examples = [...(await readFile(page, 'utf8')).matchAll(/^```json\n([\s\S]*?)^```$/gm)].map(([, text]) =>
  PutRoute.parse(JSON.parse(text!)),
);

t.test('each route of docs/upstreams.md is served', async (t) => {
  const edge = await startWorker(t);
  const { url } = await startUpstream(t, (_request, response) => response.end('ok'));
  t.ok(examples.length > 0);
  for (const [i, { id: _, hosts, paths, upstreams = [], ...more }] of examples.entries()) {
    // How each is spoken to has tests of its own.
    const to = upstreams.map(({ protocol: _, tls: __, proxyProtocol: ___, ...one }) => ({ ...one, url }));
    await edge.applied(await edge.serve('documented', hosts, [], paths, { ...more, upstreams: to }));
    t.same(edge.status().refusals, []);
    const answer = await fetchThrough({ port: edge.httpsPort, host: hosts[0]!, root: edge.root });
    t.match(answer, { status: 200, body: 'ok' }, `example ${i + 1}`);
  }
});
