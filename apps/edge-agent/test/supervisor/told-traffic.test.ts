import type { Hint } from '@lockstep/contract';
import { testFolder, waitFor } from '@lockstep/testkit';
import t from 'tap';
import { createConfiguredStore } from '../configured-store.ts';
import { fetchThrough, fetchThroughH2 } from '../fetch-through.ts';
import { startTestEdge } from '../start-test-edge.ts';
import { startUpstream } from '../start-upstream.ts';

const host = 'shop.example.com';

t.test('an edge tells what its workers served of a route, and its metrics tell how', async (t) => {
  const configured = await createConfiguredStore();
  const { url } = await startUpstream(t, (request, response) => {
    request.resume().on('end', () => {
      response.statusCode = request.url === '/broken' ? 500 : 200;
      response.end('four');
    });
  });
  await configured.serve('shop', [host], [url]);
  const { addresses } = await startTestEdge(t, configured, { dataDir: testFolder(t), workers: 2 });
  const at = { port: addresses.https.port, host, root: configured.root };
  await waitFor(async () => (await fetchThrough(at)).status === 200, { what: 'it to serve' });
  for (let i = 0; i < 5; i += 1) await fetchThrough({ ...at, method: 'POST', body: 'abc' });
  await fetchThroughH2({ ...at, path: '/broken' });

  const heard = Promise.withResolvers<Extract<Hint, { hint: 'traffic-served' }>>();
  configured.store.watchHints((hint) => {
    if (hint.hint === 'traffic-served' && hint.traffic[0]!.requests === 7) heard.resolve(hint);
  });
  const asking = setInterval(
    () => configured.store.sendHint({ hint: 'traffic', id: 'q', route: 'shop' }),
    100,
  );
  const { id, node, traffic } = await heard.promise;
  clearInterval(asking);
  t.match({ id, node }, { id: 'q', node: 'edge-1' });
  t.equal(traffic.length, 3);
  for (const window of traffic) t.match(window, { requests: 7, errors: 1, bytesIn: 15, bytesOut: 28 });
  t.equal(
    traffic[0]!.durations.reduce((sum, count) => sum + count),
    7,
  );

  const metrics = await (await fetch(`http://127.0.0.1:${addresses.admin.port}/metrics`)).text();
  t.match(metrics, 'lockstep_edge_requests_total{class="upstreams",status="2xx"} 6');
  t.match(metrics, 'lockstep_edge_requests_total{class="upstreams",status="5xx"} 1');
  t.match(metrics, 'lockstep_edge_request_duration_seconds_bucket{class="upstreams",le="+Inf"} 7');
  t.match(metrics, 'lockstep_edge_request_duration_seconds_count{class="upstreams"} 7');
  t.match(metrics, /lockstep_edge_request_duration_seconds_sum\{class="upstreams"\} 0\.\d+/);
  t.match(metrics, 'lockstep_edge_upstream_first_byte_seconds_count 7');
  t.match(metrics, `lockstep_edge_host_requests_total{host="${host}",outcome="answered"} 6`);
  t.match(metrics, `lockstep_edge_host_requests_total{host="${host}",outcome="failed"} 1`);
});
