import { join } from 'node:path';
import { createSealers, generateSecretKey } from '@lockstep/pki';
import { createSqliteStore } from '@lockstep/store';
import { testFolder, waitFor } from '@lockstep/testkit';
import t from 'tap';
import { type OpenapiDocument, operationsOf } from '../../src/openapi/document-parts.ts';
import { openapiDocument } from '../../src/openapi/openapi-document.ts';
import { makeCertificate } from '../brought-certificate.ts';
import { startControlPlane } from '../start-control-plane.ts';

const shop = { hosts: ['shop.example.com'], upstreams: [{ url: 'http://127.0.0.1:3000' }] };
const other = { ...shop, upstreams: [{ url: 'http://127.0.0.1:4000' }] };
const settings = { edgeAddresses: ['203.0.113.7'] };
const issuer = { directory: 'https://ca.example.com/directory' };

t.test('each resource tells its revision, and is changed by whoever knows it', async (t) => {
  const { call, store, acknowledge } = await startControlPlane(t, testFolder(t));
  acknowledge('edge-1');
  const { body: brought } = await call('POST', '/v1/certificates', {
    body: await makeCertificate('b.example.com'),
  });
  await call('PUT', '/v1/routes/shop', { body: shop, headers: { prefer: 'wait=60' } });
  const resources = [
    { path: '/v1/routes/shop', put: shop, change: ['PATCH', { methods: ['GET'] }] },
    { path: '/v1/settings', put: settings, change: ['PATCH', { liveNeeds: 'expected' }] },
    { path: '/v1/issuers/ca', put: issuer, change: ['PUT', { ...issuer, email: 'ops@example.net' }] },
    { path: '/v1/issuers/internal', put: { type: 'internal' }, change: ['DELETE'] },
    { path: `/v1/certificates/${brought.id}`, put: null, change: ['DELETE'] },
  ] as const;
  for (const { path, put, change } of resources) {
    const [method, body] = change;
    if (put !== null) t.match(await call('PUT', path, { body: put }), { headers: { get: Function } });
    await waitFor(async () => (await call('GET', path)).body.state !== 'deploying', {
      what: 'it to be live',
    });
    const shown = await call('GET', path);
    const etag = shown.headers.get('etag') ?? '';
    t.equal(etag, `"${shown.body.revision}"`, path);
    t.equal((await call('HEAD', path)).headers.get('etag'), etag);

    const known = await call('GET', path, { headers: { 'if-none-match': `"0", W/${etag}` } });
    t.match(known, { status: 304, text: '' }, path);
    t.same([known.headers.get('etag'), known.headers.has('x-request-id')], [etag, true]);
    t.equal((await call('GET', path, { headers: { 'if-none-match': '"0"' } })).status, 200);
    t.equal((await call('GET', path, { headers: { 'if-match': '"0"' } })).status, 412);

    const stale = await call(method, path, { body, headers: { 'if-match': `"0", W/${etag}` } });
    t.match(stale, { status: 412, body: { code: 'precondition_failed', revision: shown.body.revision } });
    const only = await call(method, path, { body, headers: { 'if-none-match': '*' } });
    t.equal(only.status, 412, 'If-None-Match: * is for what is not there');
    t.match(await call('GET', path, { headers: { 'if-match': etag } }), { status: 200 }, 'nothing changed');

    const made = await call(method, path, { body, headers: { 'if-match': `"0", ${etag}` } });
    t.ok(made.status < 300, `${path} ${made.text}`);
    if (method !== 'DELETE') t.not(made.headers.get('etag'), etag);
  }
  const { number } = await store.head();
  const quoted = await call('PATCH', '/v1/routes/shop', { body: {}, headers: { 'if-match': '41' } });
  t.match(quoted, { status: 400, body: { errors: [{ pointer: 'If-Match', detail: /entity tags/ }] } });
  const nodes = await call('POST', '/v1/keys/rotate', { headers: { 'if-match': '*' } });
  t.match(nodes, { status: 412, body: { detail: /has no ETag/ } });
  t.equal((await store.head()).number, number);
});

/** They make nothing, or may be sent again as they are. */
const keyless = ['validateRoute', 'putRoutes', 'deleteRoutes'];

t.test(
  'every resource has a strong ETag that reads and writes go by, and every POST takes a key',
  async (t) => {
    const { call, askedFor, report, store } = await startControlPlane(t, testFolder(t));
    const { body: brought } = await call('POST', '/v1/certificates', {
      body: await makeCertificate('b.example.com'),
    });
    const { body: token } = await call('POST', '/v1/tokens', {
      body: { name: 'ci', scopes: ['routes:read'] },
    });
    const { body: hook } = await call('POST', '/v1/webhooks', {
      body: { url: 'https://hooks.example.net/' },
    });
    await call('PUT', '/v1/routes/shop', { body: { ...shop, hosts: [...shop.hosts, 'b.example.com'] } });
    await call('PUT', '/v1/settings', { body: settings });
    await call('PUT', '/v1/issuers/ca', { body: issuer });
    await report('edge-1');
    const { report: said } = (await store.listNodes())[0]!;
    await store.removeNode('edge-1', said.instance, { returns: true });
    await waitFor(async () => (await call('GET', '/v1/nodes/edge-1')).body.state === 'stopped', {
      what: 'the edge that is to come back',
    });
    const ids: Record<string, string> = {
      routes: 'shop',
      certificates: brought.id,
      issuers: 'ca',
      nodes: 'edge-1',
      tokens: token.id,
      webhooks: hook.id,
    };
    const document = (await openapiDocument()) as OpenapiDocument;
    const fill = (path: string) =>
      path
        .replace('{host}', 'shop.example.com')
        .replace(/\{\w+\}/, ids[path.split('/')[2] ?? ''] ?? 'unknown');
    const walked: string[] = [];
    for (const { path, method, operation } of operationsOf(document)) {
      const { operationId } = operation;
      const own = fill(path);
      if (method === 'post') {
        const takesKey = JSON.stringify(operation.parameters ?? []).includes('/IdempotencyKey');
        t.equal(takesKey, !keyless.includes(operationId), operationId);
        continue;
      }
      if (method === 'get') {
        if (!path.endsWith('}') && path !== '/v1/settings') continue;
        const shown = await call('GET', own);
        t.equal(shown.status, 200, own);
        const etag = shown.headers.get('etag') ?? '';
        t.match(etag, /^"\d+(\.[\w-]{16})?"$/, own);
        const head = await call('HEAD', own);
        for (const name of ['etag', 'content-type', 'content-length'])
          t.equal(head.headers.get(name), shown.headers.get(name), `HEAD ${own} ${name}`);
        t.equal((await call('GET', own, { headers: { 'if-none-match': etag } })).status, 304, own);
        t.equal((await call('GET', own, { headers: { 'if-match': '"7654321"' } })).status, 412, own);
      } else {
        const { length } = await askedFor();
        const body = method === 'put' && !path.endsWith('{host}') ? (await call('GET', own)).body : {};
        const options = method === 'delete' || path.endsWith('{host}') ? {} : { body };
        const stale = await call(method.toUpperCase(), own, {
          ...options,
          headers: { 'if-match': '"7654321"' },
        });
        t.match(
          stale,
          { status: 412, body: { code: 'precondition_failed' } },
          `${operationId} ${stale.text}`,
        );
        t.equal((await askedFor()).length, length, operationId);
      }
      walked.push(operationId);
    }
    t.ok(walked.length > 20, walked.join());
  },
);

t.test('an edge is drained, undrained and forgotten by whoever knows whether it is drained', async (t) => {
  const { call, report, store } = await startControlPlane(t, testFolder(t));
  const path = '/v1/nodes/edge-1';
  await report('edge-1');
  const shown = () => call('GET', path);
  await waitFor(async () => (await shown()).status === 200, { what: 'the edge' });
  const tagOf = (answer: Awaited<ReturnType<typeof call>>) => ({ 'if-match': answer.headers.get('etag')! });
  const before = tagOf(await shown());
  const drained = await call('POST', `${path}/drain`, { headers: before });
  t.equal(drained.status, 202);
  t.not(drained.headers.get('etag'), before['if-match']);
  for (const verb of ['drain', 'undrain'])
    t.match(await call('POST', `${path}/${verb}`, { headers: before }), { status: 412 }, verb);
  t.equal(
    (await call('POST', `${path}/drain`, { headers: tagOf(await shown()) })).body.drain.since,
    drained.body.drain.since,
  );
  const { report: last } = (await store.listNodes())[0]!;
  await store.removeNode('edge-1', last.instance, { returns: true });
  await waitFor(async () => (await shown()).body.state === 'stopped', { what: 'it to have stopped' });
  t.equal((await call('DELETE', path, { headers: before })).status, 412);
  t.ok(await store.get('drain', 'edge-1'));
  t.equal((await call('DELETE', path, { headers: tagOf(await shown()) })).status, 204);
  t.equal(await store.get('drain', 'edge-1'), null);
  t.equal((await shown()).status, 404);
});

t.test('whoever has what a state was before it changed is never answered 304', async (t) => {
  const { call, acknowledge, report } = await startControlPlane(t, testFolder(t));
  const { revision } = (await call('PUT', '/v1/routes/shop', { body: shop })).body;
  const paths = ['/v1/routes/shop', '/v1/certificates/shop.example.com'];
  const shown = async (path: string, tag = '') =>
    call('GET', path, { headers: tag === '' ? {} : { 'if-none-match': tag } });
  const tags = new Map<string, string>();
  for (const path of paths) {
    const { headers, body } = await shown(path);
    tags.set(path, headers.get('etag')!);
    t.match(tags.get(path), /^"\d+\.[\w-]{16}"$/, `${body.state ?? body.status.state} is told by the tag`);
    t.equal((await shown(path, tags.get(path))).status, 304);
  }
  acknowledge('edge-1');
  for (const path of paths) {
    const live = await waitFor(
      async () => {
        const { status, headers, body } = await shown(path, tags.get(path));
        tags.set(path, headers.get('etag')!);
        return status === 200 && (body.state ?? body.status.state) === 'live' && headers.get('etag');
      },
      { what: 'it to be live' },
    );
    if (path === paths[0]) t.equal(live, `"${revision}"`, 'all is well: the revision alone');
  }
  const [path = ''] = paths;
  await report('edge-2', { applied: null });
  const worse = await waitFor(
    async () => {
      const answer = await shown(path, tags.get(path));
      return answer.status === 200 && answer;
    },
    { what: 'the edge that is behind to be shown' },
  );
  t.match(worse.body.status, { state: 'deploying' });
  const tag = worse.headers.get('etag')!;
  t.match(
    await call('PATCH', path, { body: { metadata: { a: 'b' } }, headers: { 'if-match': tag } }),
    { status: 202 },
    'changes go by the revision, whatever the state was',
  );
  t.equal((await call('PATCH', path, { body: {}, headers: { 'if-match': tag } })).status, 412);
});

t.test('whoever asks for it makes a route, or none', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  const path = '/v1/routes/shop';
  const missing = { headers: { 'if-match': '*' } };
  t.match(await call('PUT', path, { body: shop, ...missing }), { status: 412, body: { revision: null } });
  for (const method of ['PATCH', 'DELETE'])
    t.equal((await call(method, path, { ...missing, ...(method === 'PATCH' && { body: {} }) })).status, 404);
  const only = { headers: { 'if-none-match': '*' } };
  t.equal((await call('PUT', path, { body: shop, ...only })).status, 201);
  t.equal((await call('PUT', path, { body: other, ...only })).status, 412);
  t.equal((await call('PUT', path, { body: { hosts: [] }, ...only })).status, 400);
});

t.test('of those who change one revision at once, at two control planes, one wins', async (t) => {
  const store = createSqliteStore({ path: ':memory:' });
  const sealers = createSealers(generateSecretKey());
  const folder = testFolder(t);
  const planes = [
    await startControlPlane(t, join(folder, '1'), {}, { store, sealers }),
    await startControlPlane(t, join(folder, '2'), {}, { store, sealers }),
  ];
  const path = '/v1/routes/shop';
  await planes[0]!.call('PUT', path, { body: shop });
  for (let round = 0; round < 5; round += 1) {
    const etag = (await planes[0]!.call('GET', path)).headers.get('etag') ?? '';
    const answers = await Promise.all(
      Array.from({ length: 12 }, async (_, index) => {
        const body = { metadata: { writer: `${round} ${index}` } };
        return planes[index % 2]!.call('PATCH', path, { body, headers: { 'if-match': etag } });
      }),
    );
    const won = answers.filter(({ status }) => status < 300);
    t.equal(won.length, 1);
    t.ok(answers.every(({ status }) => status < 300 || status === 412));
    t.same((await planes[1]!.call('GET', path)).body.metadata, won[0]!.body.metadata);
  }
});

t.test('what GET shows is put back as it is, and changes nothing', async (t) => {
  const { call, store } = await startControlPlane(t, testFolder(t));
  await call('PUT', '/v1/routes/shop', { body: { ...shop, tenant: 'a', metadata: { b: 'c' } } });
  await call('PUT', '/v1/settings', { body: settings });
  await call('PUT', '/v1/issuers/ca', { body: { ...issuer, challenges: ['http-01'] } });
  await call('PUT', '/v1/issuers/internal', { body: { type: 'internal', lifetimeHours: 10 } });
  await call('PUT', '/v1/issuers/zerossl', { body: { type: 'zerossl', apiKey: 'a' } });
  const issuers = ['ca', 'zerossl', 'internal'].map((name) => `/v1/issuers/${name}`);
  for (const path of ['/v1/routes/shop', '/v1/settings', ...issuers]) {
    const { body } = await call('GET', path);
    const { number } = await store.head();
    const put = await call('PUT', path, { body });
    t.ok(put.status < 300, `${path} ${put.text}`);
    t.equal(put.body.revision, body.revision, path);
    t.equal((await store.head()).number, number, 'no commit is made');
    const unknown = await call('PUT', path, { body: { ...body, colour: 'red' } });
    t.match(unknown, { status: 400, body: { errors: [{ pointer: '/colour' }] } }, path);
  }
  for (const path of ['/v1/routes/shop', '/v1/settings'])
    t.match(
      await call('PATCH', path, { body: { revision: 1 } }),
      { status: 400 },
      'a patch names what it changes',
    );
});

t.test('what is gone is deleted, for whoever says so', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  for (const path of ['/v1/routes/a', '/v1/certificates/a.example.com', '/v1/issuers/a', '/v1/nodes/a']) {
    t.match(await call('DELETE', path), { status: 404, body: { code: 'not_found' } });
    t.equal((await call('DELETE', `${path}?missing=ok`)).status, 204);
    t.equal((await call('DELETE', `${path}?missing=no`)).status, 400);
  }
});
