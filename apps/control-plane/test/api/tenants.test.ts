import { testFolder } from '@lockstep/testkit';
import t from 'tap';
import { type OpenapiDocument, operationsOf } from '../../src/openapi/document-parts.ts';
import { openapiDocument } from '../../src/openapi/openapi-document.ts';
import { makeCertificate } from '../brought-certificate.ts';
import { adminToken, startControlPlane } from '../start-control-plane.ts';

const upstreams = [{ url: 'http://127.0.0.1:3000' }];
const scopes = ['routes:*', 'certificates:*', 'events:read', 'webhooks:*', 'tokens:*', 'audit:read'];

/** Two tenants and an operator, each with a route, a brought certificate, a webhook, and a token. Everything of the first has alpha in its name. */
async function start(test: Pick<typeof t, 'teardown'>, folder: string) {
  const { call: callAs, store } = await startControlPlane(test, folder);
  const as = (token: string) => (method: string, path: string, body?: unknown) =>
    callAs(method, path, {
      headers: { authorization: `Bearer ${token}`, accept: 'application/json' },
      ...(body !== undefined && { body }),
    });
  const admin = as(adminToken);
  async function tenant(name: string, more: object = {}) {
    const made = await admin('POST', '/v1/tokens', { name: `${name} token`, scopes, tenant: name, ...more });
    return { call: as(made.body.token), tokenId: made.body.id as string };
  }
  async function equip(name: string) {
    const { call, tokenId } = await tenant(name);
    const host = `${name}.example`;
    const route = await call('POST', '/v1/routes', { id: `${name}-route`, hosts: [host], upstreams });
    const brought = await call('POST', '/v1/certificates', await makeCertificate(host));
    const hook = await call('POST', '/v1/webhooks', { url: `https://${name}-hooks.example.net/` });
    return { call, tokenId, host, route, brought, webhookId: hook.body.id as string };
  }
  return { admin, as, tenant, store, alpha: await equip('alpha'), beta: await equip('beta') };
}

t.test('what a tenant’s token makes is the tenant’s, and of another tenant it makes nothing', async (t) => {
  const { alpha, admin } = await start(t, testFolder(t));
  t.match(alpha.route, { status: 201, body: { tenant: 'alpha' } });
  t.match(alpha.brought, { status: 201, body: { tenant: 'alpha' } });
  const beyond = { status: 403, body: { code: 'forbidden', errors: [{ pointer: '/tenant' }] } };
  const route = { hosts: ['more.alpha.example'], upstreams, tenant: 'beta' };
  t.match(await alpha.call('POST', '/v1/routes', route), beyond);
  t.match(await alpha.call('PUT', '/v1/routes/alpha-route', route), beyond);
  t.match(await alpha.call('PATCH', '/v1/routes/alpha-route', { tenant: 'beta' }), beyond);
  t.match(await alpha.call('PATCH', '/v1/routes/alpha-route', { tenant: null }), {
    body: { tenant: 'alpha' },
  });
  for (const method of ['PUT', 'PATCH']) {
    const path = `/v1/certificates/${alpha.brought.body.id}`;
    t.match(await alpha.call(method, path, { tenant: 'beta' }), beyond);
    t.match(await alpha.call(method, path, { tenant: null }), { status: 200, body: { tenant: 'alpha' } });
  }
  const certificate = { ...(await makeCertificate('alpha.example')), tenant: 'beta' };
  t.match(await alpha.call('POST', '/v1/certificates', certificate), beyond);
  t.match(await admin('GET', '/v1/routes?tenant=alpha'), {
    body: { items: [{ id: 'alpha-route' }], next: null },
  });
  t.match(await admin('GET', '/v1/certificates?tenant=alpha'), {
    body: { items: [{ id: 'alpha.example' }, { id: alpha.brought.body.id }], next: null },
  });
});

/** Whatever an operation takes, so that it comes to the thing itself. */
const bodies: Record<string, object> = {
  putRoute: { hosts: ['new.example'], upstreams },
  patchRoute: { paths: ['/else'] },
  putCertificate: { metadata: { a: 'b' } },
  patchCertificate: { metadata: { a: 'b' } },
  revokeCertificate: {},
  putWebhook: { url: 'https://hooks.example.net/' },
  patchWebhook: { enabled: false },
  redeliverWebhook: { since: '2026-01-01T00:00:00Z' },
};

for (const ownership of ['off', 'txt'])
  t.test(
    `no operation reads, writes, counts or tells of what is another tenant’s, with ownership ${ownership}`,
    async (t) => {
      const { alpha, beta, admin, store } = await start(t, testFolder(t));
      await admin('PATCH', '/v1/settings', { ownership, resolvers: ['127.0.0.1:1'] });
      const document = (await openapiDocument()) as OpenapiDocument;
      const secretOfAlpha = [
        /alpha/,
        new RegExp(alpha.brought.body.id),
        new RegExp(alpha.tokenId),
        new RegExp(alpha.webhookId),
      ];
      const silent = (text: string, name: string) => {
        for (const secret of secretOfAlpha) t.notMatch(text, secret, name);
      };
      const idsOf: Record<string, [string, string][]> = {
        routes: [['alpha-route', 'omega-route']],
        certificates: [
          ['alpha.example', 'omega.example'],
          [alpha.brought.body.id, 'brought_0123456789abcdef0123'],
        ],
        tokens: [[alpha.tokenId, '0123456789ab']],
        webhooks: [[alpha.webhookId, 'wh_0123456789abcdef0123']],
      };
      const before = (await store.head()).number;
      for (const { path, method: lower, operation } of operationsOf(document)) {
        const { operationId } = operation;
        const method = lower.toUpperCase();
        if (!path.startsWith('/v1/')) continue;
        const needed = operation['x-scope'] as string;
        if (!scopes.some((scope) => scope.split(':')[0] === needed.split(':')[0])) {
          t.match(await beta.call(method, path.replaceAll(/\{\w+\}/g, 'x')), { status: 403 }, operationId);
          continue;
        }
        if (path.includes('{')) {
          const pairs = idsOf[path.split('/')[2] ?? ''];
          if (pairs === undefined) {
            t.fail(`${operationId} needs ids here`);
            continue;
          }
          for (const [theirs, nobodys] of pairs) {
            const ask = (id: string) =>
              beta.call(
                method,
                path.replace(/\{\w+\}/, id).replaceAll(/\{\w+\}/g, 'x.example'),
                bodies[operationId],
              );
            const [refused, missing] = [await ask(theirs), await ask(nobodys)];
            t.equal(refused.status, 404, `${operationId} ${theirs}`);
            if (operationId === 'putRoute') {
              await admin('DELETE', '/v1/routes/omega-route');
              continue;
            }
            const bare = ({ body }: typeof refused, id: string) =>
              JSON.stringify({ ...body, instance: '' }).replaceAll(id, 'ID');
            t.equal(bare(refused, theirs), bare(missing, nobodys), `${operationId} ${theirs}`);
          }
          continue;
        }
        if (method !== 'GET') continue; // what is created is below
        const parameters = (operation.parameters ?? []) as { name: string; in: string }[];
        const queries = parameters.filter((one) => one.in === 'query').map(({ name }) => name);
        const values = [
          'alpha',
          'alpha-route',
          'alpha.example',
          alpha.brought.body.id,
          alpha.tokenId,
          alpha.webhookId,
          'a',
          '1',
          'true',
        ];
        silent((await beta.call('GET', path)).text, operationId);
        for (const name of queries)
          for (const value of values) {
            const answer = await beta.call('GET', `${path}?${name}=${value}`);
            // An error may say what was asked for, and the look at the DNS of a host does, of whoever it is.
            if (answer.status === 200 && operationId !== 'getDnsRequirements')
              silent(answer.text, `${operationId} ${name}=${value}`);
          }
        let next: string | null = null;
        for (let pages = 0; pages < 10; pages += 1) {
          const page = await beta.call('GET', `${path}?limit=1${next === null ? '' : `&cursor=${next}`}`);
          if (page.status !== 200) break;
          silent(page.text, `${operationId} in pages`);
          next = page.body?.next ?? null;
          if (next === null) break;
        }
      }
      for (const path of [
        '/v1/routes/alpha-route',
        '/v1/certificates/alpha.example',
        `/v1/webhooks/${alpha.webhookId}`,
        '/v1/routes/omega-route',
      ])
        t.equal((await beta.call('DELETE', `${path}?missing=ok`)).status, 204, path);
      t.strictSame(
        (await alpha.call('GET', '/v1/routes/alpha-route')).body.revision,
        alpha.route.body.revision,
      );
      const made =
        (await store.readLog({ ...(await store.head()), number: before, commitId: '' }, 100)) ?? [];
      for (const { changes } of made.filter(({ by }) => by?.kind !== 'system'))
        for (const { kind, id } of changes)
          t.match(`${kind}/${id}`, /omega|new\.example/, 'nothing of alpha is written');
    },
  );

t.test('a host that is another’s is taken, and by whom is not said', async (t) => {
  const { alpha, beta, admin } = await start(t, testFolder(t));
  await admin('POST', '/v1/routes', {
    id: 'alpha-wild',
    hosts: ['*.alpha.test'],
    upstreams,
    tenant: 'alpha',
  });
  await admin('POST', '/v1/routes', { id: 'alpha-shared', hosts: ['shared.test'], upstreams });
  const taken = async (hosts: string[], more: object = {}) => {
    const answer = await beta.call('POST', '/v1/routes', { hosts, upstreams, ...more });
    t.match(answer, { status: 409, body: { code: 'host_taken', route: undefined } }, hosts.join());
    t.notMatch(answer.text, /alpha-|"alpha"|tenant/, hosts.join());
  };
  await taken(['alpha.example']);
  await taken(['alpha.example'], { paths: ['/of-beta'] });
  await taken(['shop.alpha.test']);
  await taken(['shared.test'], { paths: ['/beta'] });
  t.match(await beta.call('PATCH', '/v1/routes/beta-route', { hosts: ['beta.example', 'alpha.example'] }), {
    status: 409,
  });
  t.match(await beta.call('POST', '/v1/routes', { id: 'alpha-route', hosts: ['b.test'], upstreams }), {
    status: 409,
    body: { code: 'id_taken', detail: 'the id "alpha-route" is taken; choose another, or leave it out' },
  });
  const own = { hosts: ['beta.example'], upstreams };
  t.match(await beta.call('POST', '/v1/routes', own), { status: 409, body: { route: 'beta-route' } });
  t.match(await beta.call('POST', '/v1/routes', { ...own, paths: ['/more'] }), { status: 201 });
  t.match(await alpha.call('POST', '/v1/routes', { hosts: ['shop.alpha.test'], upstreams }), { status: 201 });
  // The operator may have several tenants share a host.
  const shared = { hosts: ['shared.test'], upstreams, paths: ['/beta'], tenant: 'beta' };
  t.match(await admin('POST', '/v1/routes', { id: 'beta-shared', ...shared }), { status: 201 });
  const inUse = await beta.call('DELETE', '/v1/certificates/shared.test');
  t.match(inUse, { status: 409, body: { code: 'in_use' } });
  t.notMatch(inUse.text, /alpha/);
});

t.test('of hosts that two tenants claim at the same moment, one has each', async (t) => {
  const { alpha, beta, admin } = await start(t, testFolder(t));
  const hosts = Array.from({ length: 20 }, (_, index) => `race-${index}.test`);
  await Promise.all(
    hosts.map((host) =>
      Promise.all([
        alpha.call('POST', '/v1/routes', { hosts: [host], upstreams, paths: ['/alpha'] }),
        beta.call('POST', '/v1/routes', { hosts: [host], upstreams, paths: ['/beta'] }),
      ]),
    ),
  );
  for (const host of hosts)
    t.equal((await admin('GET', `/v1/routes?host=${host}`)).body.items.length, 1, host);
});

t.test('a certificate is brought by a tenant for its own hosts alone', async (t) => {
  const { alpha, beta, tenant } = await start(t, testFolder(t));
  const bring = async (call: typeof beta.call, name: string) =>
    call('POST', '/v1/certificates', await makeCertificate(name));
  const refused = await bring(beta.call, 'alpha.example');
  t.match(refused, { status: 409, body: { code: 'host_taken', detail: 'host "alpha.example" is taken' } });
  t.match(await bring(beta.call, 'nobody.example'), {
    status: 403,
    body: { errors: [{ pointer: '/chain' }] },
  });
  t.match(await bring(beta.call, '*.beta.example'), { status: 403 });
  t.match(await bring(beta.call, 'beta.example'), { status: 201 });
  const zoned = await tenant('gamma', { hostSuffixes: ['gamma.example'] });
  t.match(await bring(zoned.call, '*.gamma.example'), { status: 201, body: { tenant: 'gamma' } });
  t.match(await bring(zoned.call, 'beta.example'), { status: 403 });
  // Left behind where its route is gone, it would be served to whoever comes next.
  await alpha.call('DELETE', '/v1/routes/alpha-route');
  t.match(await beta.call('POST', '/v1/routes', { hosts: ['alpha.example'], upstreams }), { status: 409 });
  await alpha.call('DELETE', `/v1/certificates/${alpha.brought.body.id}`);
  t.match(await beta.call('POST', '/v1/routes', { hosts: ['alpha.example'], upstreams }), { status: 201 });
  const shown = (clientCertificate: string) =>
    beta.call('PATCH', '/v1/routes/beta-route', {
      upstreams: [{ url: 'https://10.0.0.7', tls: { clientCertificate } }],
    });
  const theirs = (await bring(alpha.call, 'alpha.example')).status;
  t.equal(theirs, 409);
  t.match(await shown(beta.brought.body.id), { status: 202 });
  t.match(await shown('brought_0123456789abcdef0123'), { status: 400 });
});

t.test('a token for some names changes nothing that is for others', async (t) => {
  const { as, admin } = await start(t, testFolder(t));
  const body = { name: 'zoned', scopes: ['routes:*', 'certificates:*'], hostSuffixes: ['zone.example'] };
  const call = as((await admin('POST', '/v1/tokens', body)).body.token);
  t.match(
    await call('POST', '/v1/routes', { id: 'in', hosts: ['zone.example', '*.zone.example'], upstreams }),
    {
      status: 201,
    },
  );
  const beyond = (pointer: string) => ({ status: 403, body: { code: 'forbidden', errors: [{ pointer }] } });
  t.match(
    await call('POST', '/v1/routes', { hosts: ['zone.example', 'notzone.example'], upstreams }),
    beyond('/hosts/1'),
  );
  t.match(
    await call('POST', '/v1/routes', { hosts: ['zone.example'], alsoServe: 'www', upstreams, paths: ['/x'] }),
    {
      status: 201,
    },
  );
  t.match(await call('PATCH', '/v1/routes/in', { hosts: ['example'] }), beyond('/hosts/0'));
  t.equal((await call('GET', '/v1/routes/alpha-route')).status, 200, 'it sees everything');
  t.match(await call('DELETE', '/v1/routes/alpha-route'), beyond(''));
  t.match(await call('PATCH', '/v1/routes/alpha-route', { hosts: ['a.zone.example'] }), beyond(''));
  t.match(await call('POST', '/v1/certificates/alpha.example/renew'), beyond(''));
  t.match(await call('POST', '/v1/certificates/zone.example/renew'), { status: 202 });
});
