import t from 'tap';
import { startHostileEdge } from './hostile-edge.ts';

const edge = await startHostileEdge(t);
const { port } = new URL(edge.upstream.url);
const denials = () => edge.metric('failed_exchanges_total', 'cause="upstream_denied"');

/** Another route of the edge. */
async function route(id: string, upstream: string): Promise<string> {
  const host = `${id}.example.com`;
  await edge.serve(id, [host], [upstream]);
  await edge.settings({}); // in force later than the route
  return host;
}

for (const [title, upstream] of [
  ['the metadata service', 'http://169.254.169.254'],
  ['the metadata service, written as IPv6', 'http://[::ffff:169.254.169.254]'],
  ['a link-local address', 'http://[fe80::1]'],
  ["the edge's own admin port", `http://127.0.0.1:${edge.adminPort}`],
  ["the edge's own admin port by name", `http://localhost:${edge.adminPort}`],
] as const) {
  await edge.attack(t, `no route leads to ${title}`, async (t) => {
    const before = await denials();
    const answer = await edge.fetch('/metrics', { host: await route('denied', upstream) });
    t.equal(answer.status, 502);
    t.notMatch(answer.body, /denied|lockstep_edge/);
    t.equal((await denials()) - before, 1);
  });
}

await edge.attack(t, 'what a name stands for is looked at as it is connected to', async (t) => {
  const host = await route('named', `http://localhost:${port}`);
  t.equal((await edge.fetch('/', { host })).status, 200, 'loopback is allowed');
  await edge.settings({ deny: ['127.0.0.0/8', '::1'] });
  const { opened } = edge.upstream;
  t.equal((await edge.fetch('/', { host })).status, 502, 'and no longer, over kept connections neither');
  t.equal(edge.upstream.opened, opened, 'nothing connected');
  await edge.settings({});
  t.equal((await edge.fetch('/', { host })).status, 200);
});
