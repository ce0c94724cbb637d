import { defaultEdgeSettings, type Kind, recordFault } from '@lockstep/contract';
import { waitFor } from '@lockstep/testkit';
import t from 'tap';
import { fetchThrough } from '../../fetch-through.ts';
import { startUpstream } from '../../start-upstream.ts';
import { type ServingWorker, startWorker } from '../../start-worker.ts';

const good = 'good.example.com';
const at = new Date().toISOString();
const put = (kind: string, id: string, value: unknown) => ({ op: 'put', kind, id, value }) as never;

const route = { hosts: ['x.example.com'], paths: ['/'], upstreams: [{ url: 'http://127.0.0.1:1' }] };
/** What an edge uses of each kind, well formed. */
const wellFormed: Record<string, { id: string; value: Record<string, unknown> }> = {
  route: { id: 'x', value: { ...route, createdAt: at, updatedAt: at } },
  certificate: {
    id: 'x.example.com',
    value: { host: 'x.example.com', issuer: 'internal', chain: 'PEM', sealedKey: 'sealed', notAfter: at },
  },
  challenge: {
    id: 'token',
    value: { type: 'http-01', host: 'x.example.com', token: 'token', keyAuthorization: 'k', createdAt: at },
  },
  staple: { id: 'x.example.com', value: { fingerprint256: 'AB', response: null, nextUpdate: null } },
  'edge-settings': { id: 'settings', value: { onDemand: null, edge: defaultEdgeSettings } },
};
const oddities: unknown[] = [
  undefined,
  null,
  0,
  -1,
  'text',
  '',
  true,
  [],
  [null],
  {},
  [{}],
  { constructor: 1 },
];

async function serves(edge: ServingWorker): Promise<number> {
  return (await fetchThrough({ port: edge.httpsPort, host: good, root: edge.root })).status;
}

const refused = (edge: ServingWorker) =>
  edge
    .status()
    .refusals.map(({ kind, id }) => `${kind}/${id}`)
    .sort();

t.test('a record that cannot be read is refused by its name; the rest of its commit is served', async (t) => {
  const { url } = await startUpstream(t, (_request, response) => response.end('ok'));
  const edge = await startWorker(t, {}, (configured) => configured.serve('good', [good], [url]));
  await waitFor(() => edge.status().position !== null, { what: 'the first configuration' });

  const { upstreams: _, ...redirect } = route;
  const position = await edge.commit(
    put('route', 'redirect', { ...redirect, redirect: 'https://elsewhere.example' }),
    edge.routeChange('other', ['other.example.com'], [url]),
    put('certificate', 'other.example.com', await edge.certificateRecord('other.example.com')),
  );
  await edge.applied(position);
  t.same(refused(edge), ['route/redirect']);
  t.match(edge.status().refusals[0], { revision: position.number, reason: /redirect to nowhere/ });
  t.equal(await serves(edge), 200);
  t.equal(
    (await fetchThrough({ port: edge.httpsPort, host: 'other.example.com', root: edge.root })).status,
    200,
  );

  await t.test('and after its next start, which takes a whole snapshot', async (t) => {
    const again = await startWorker(t, {}, undefined, edge);
    await again.applied(position);
    t.same(refused(again), ['route/redirect']);
    t.equal(await serves(again), 200);
    const healed = await edge.commit({ op: 'delete', kind: 'route', id: 'redirect' });
    await again.applied(healed);
    t.same(refused(again), []);
  });
});

t.test('what a record was before it could not be read stays in use', async (t) => {
  const { url } = await startUpstream(t, (_request, response) => response.end('ok'));
  const edge = await startWorker(t, {}, (configured) => configured.serve('good', [good], [url]));
  await waitFor(() => edge.status().position !== null, { what: 'the first configuration' });
  for (const value of [
    { ...route, hosts: 'good.example.com' },
    { ...route, hosts: [good], paths: null },
    { ...route, hosts: [good], version: 2 },
  ]) {
    await edge.applied(await edge.commit(put('route', 'good', value)));
    t.same(refused(edge), ['route/good']);
    t.equal(await serves(edge), 200);
  }
  t.match(edge.status().refusals[0], { reason: /is of version 2, where version 1 is read/ });
  await edge.applied(await edge.serve('good', [good], [url]));
  t.same(refused(edge), []);
});

t.test('no field of any kind, missing or odd, keeps an edge from its other records', async (t) => {
  const { url } = await startUpstream(t, (_request, response) => response.end('ok'));
  const edge = await startWorker(t, {}, (configured) => configured.serve('good', [good], [url]));
  await waitFor(() => edge.status().position !== null, { what: 'the first configuration' });
  for (const [kind, { id, value }] of Object.entries(wellFormed)) {
    const values: unknown[] = [...oddities, ...variants(value)];
    for (const group of ['edge', 'limits', 'timeouts']) {
      if (kind === 'edge-settings') values.push(...variants(value, group));
    }
    let last = 0;
    for (const odd of values) {
      const fault = recordFault({ kind, id, revision: 1, value: odd });
      const position = await edge.commit(put(kind, id, odd ?? null));
      last = position.number;
      await edge.applied(position);
      const name = `${kind}/${id}`;
      if (fault !== null && !refused(edge).includes(name))
        t.fail(`${name} was taken: ${JSON.stringify(odd)}`);
    }
    t.equal(await serves(edge), 200, `after ${values.length} odd records of kind ${kind}`);
    const fresh = await startWorker(t, {}, undefined, edge);
    await fresh.applied({ epoch: '', number: last, commitId: '' });
    t.equal(await serves(fresh), 200, 'from a snapshot too');
    await edge.applied(await edge.commit({ op: 'delete', kind: kind as Kind, id }));
    t.same(refused(edge), []);
  }
});

/** The value with one field left out or replaced by each oddity; of the object `within` it, if that is named. */
function* variants(value: Record<string, unknown>, within?: string): Generator<unknown> {
  if (within !== undefined) {
    for (const [key, part] of Object.entries(value)) {
      if (typeof part !== 'object' || part === null || Array.isArray(part)) continue;
      for (const odd of key === within ? variants(part as never) : variants(part as never, within)) {
        yield { ...value, [key]: odd };
      }
    }
    return;
  }
  for (const key of Object.keys(value)) {
    const { [key]: _, ...rest } = value;
    yield rest;
    for (const odd of oddities.slice(1)) yield { ...value, [key]: odd };
    if (Array.isArray(value[key])) for (const odd of oddities.slice(1)) yield { ...value, [key]: [odd] };
  }
}

t.test(
  'a certificate that is of no use is refused after each start, before any handshake needs it',
  async (t) => {
    const { url } = await startUpstream(t, (_request, response) => response.end('ok'));
    const edge = await startWorker(t, {}, (configured) => configured.serve('good', [good], [url]));
    const usable = await edge.certificateRecord('other.example.com');
    const broken = { ...usable, chain: usable.chain.replaceAll('A', 'B') };
    const position = await edge.commit(
      edge.routeChange('other', ['other.example.com'], [url]),
      put('certificate', 'other.example.com', broken),
    );
    await edge.applied(position);
    t.same(refused(edge), ['certificate/other.example.com']);
    const again = await startWorker(t, {}, undefined, edge);
    await again.applied(position);
    t.same(refused(again), ['certificate/other.example.com'], 'known as soon as the position is told');
    t.equal(await serves(again), 200);
  },
);
