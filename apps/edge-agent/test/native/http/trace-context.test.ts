import t from 'tap';
import { fetchThrough } from '../../fetch-through.ts';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';

const host = 'shop.example.com';
const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
const span = '00f067aa0ba902b7';

t.test('a trace is passed on as it came, and begun where there is none that can be read', async (t) => {
  const edge = await startWorker(t);
  const { url } = await startUpstream(t, ({ headers }, response) => {
    response.end(JSON.stringify([headers.traceparent, headers.tracestate, headers['x-request-id']]));
  });
  await edge.applied(await edge.serve('shop', [host], [url]));
  const ask = async (headers: Record<string, string | string[]> = {}) =>
    JSON.parse((await fetchThrough({ port: edge.httpsPort, host, root: edge.root, headers })).body) as [
      string | null,
      string | null,
      string,
    ];
  const made = /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/;

  const given = `00-${trace}-${span}-00`;
  t.match(await ask({ traceparent: given, tracestate: 'a=1' }), [given, 'a=1']);
  const later = `cc-${trace}-${span}-01-what-comes`;
  t.match(await ask({ traceparent: later }), [later, null], 'of a version to come too');
  const [begun, , id] = await ask();
  t.match(begun, made);
  t.equal(begun!.slice(3, 35), id.replaceAll('-', ''), 'under the id of the request, where that is one');
  t.match((await ask({ 'x-request-id': 'mine' }))[0], made);
  for (const wrong of [
    `00-${trace}-${span}-01-more`,
    `00-${'0'.repeat(32)}-${span}-01`,
    `00-${trace}-${'0'.repeat(16)}-01`,
    `ff-${trace}-${span}-01`,
    `00-${trace.toUpperCase()}-${span}-01`,
    'nonsense',
  ]) {
    const [traceparent, tracestate] = await ask({ traceparent: wrong, tracestate: 'a=1' });
    t.match(traceparent, made, wrong);
    t.notMatch(traceparent, trace);
    t.equal(tracestate, null, 'and the state of what is not passed on does not pass');
  }
  t.match((await ask({ traceparent: [given, given] }))[0], made, 'nor two of them');

  await edge.applied(await edge.commit(edge.settingsChange(null, { traceparent: { sampled: false } })));
  t.match((await ask())[0], /-00$/);
  await edge.applied(await edge.commit(edge.settingsChange(null, { traceparent: { make: false } })));
  t.match(await ask(), [null, null]);
  t.match(await ask({ traceparent: given }), [given]);
});
