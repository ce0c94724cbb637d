import { randomUUID } from 'node:crypto';
import { testFolder, waitFor } from '@lockstep/testkit';
import { Webhook } from 'standardwebhooks';
import t from 'tap';
import { startControlPlane } from '../start-control-plane.ts';
import { type Received, startTarget } from './start-target.ts';

const upstreams = [{ url: 'http://127.0.0.1:3000' }];
const typesOf = (received: Received[]) => received.map(({ body }) => JSON.parse(body).type);
const verified = (secret: string, { body, headers }: Received) =>
  new Webhook(secret).verify(body, headers as Record<string, string>);

async function start(test: Pick<typeof t, 'teardown'>, folder: string) {
  const plane = await startControlPlane(test, folder);
  await plane.call('PATCH', '/v1/settings', { body: { webhookTargets: 'any' } });
  return { ...plane, hook: await startTarget(test) };
}

t.test(
  'sends what is asked for, in order, signed; its secret is shown once and rotates with overlap',
  async (t) => {
    const { call, store, hook } = await start(t, testFolder(t));
    const body = { url: hook.url, types: ['route.*'], tenant: 'shop' };
    const made = await call('POST', '/v1/webhooks', { body });
    t.match(made, { status: 201, body: { url: hook.url, enabled: true, secret: /^whsec_/ } });
    const path = `/v1/webhooks/${made.body.id}`;
    for (const [id, tenant] of [
      ['a', 'shop'],
      ['b', 'other'],
      ['c', 'shop'],
    ])
      await call('PUT', `/v1/routes/${id}`, { body: { hosts: [`${id}.example.com`], upstreams, tenant } });
    await call('DELETE', '/v1/routes/a');
    await hook.until(() => typesOf(hook.received).includes('route.deleted'));
    await hook.until(() => hook.received.length === 3);
    const told = (route: string) =>
      hook.received
        .map(({ body }) => JSON.parse(body))
        .flatMap((one) => (one.subject.id === route ? one.type : []));
    t.same(told('a'), ['route.created', 'route.deleted']);
    t.same(told('c'), ['route.created']);
    for (const one of hook.received) {
      t.match(verified(made.body.secret, one), { id: one.headers['webhook-id'], timestamp: /Z$/ });
    }
    for (const text of [
      (await call('GET', path)).text,
      JSON.stringify(await store.get('webhook', made.body.id)),
    ])
      t.notMatch(text, made.body.secret.slice(6));

    const other = await call('POST', `${path}/rotate-secret`, {});
    t.not(other.body.secret, made.body.secret);
    t.match((await call('POST', `${path}/test`, {})).body, { ok: true, status: 200, type: 'webhook.test' });
    for (const secret of [made.body.secret, other.body.secret]) t.ok(verified(secret, hook.received.at(-1)!));

    const { event } = (await call('GET', `${path}/deliveries`)).body.items.at(-1);
    t.match((await call('POST', `${path}/redeliver`, { body: { event } })).body, { ok: true, event });
    t.equal(hook.received.at(-1)?.headers['webhook-id'], event);
    const gone = { event: event.replace(/^.{15}/, '000000000000001') };
    t.match(await call('POST', `${path}/redeliver`, { body: gone }), {
      status: 410,
      body: { code: 'events_gone' },
    });
    t.equal((await call('DELETE', path)).status, 204);
    t.equal((await call('GET', path)).status, 404);
  },
);

t.test(
  'a target that says it is gone is asked no more, and goes on where it was when enabled again',
  async (t) => {
    const { call, hook } = await start(t, testFolder(t));
    hook.target.status = 410;
    const made = await call('POST', '/v1/webhooks', { body: { url: hook.url, types: ['route.created'] } });
    const path = `/v1/webhooks/${made.body.id}`;
    for (const id of ['a', 'b'])
      await call('PUT', `/v1/routes/${id}`, { body: { hosts: [`${id}.example.com`], upstreams } });
    await waitFor(async () => (await call('GET', path)).body.enabled === false, {
      what: 'it to be disabled',
    });
    const { asked } = hook.target;
    t.ok(asked <= 2, 'of each route once');
    t.match((await call('GET', '/v1/events?limit=10&type=webhook.disabled')).body.items, [
      { subject: { kind: 'webhook', id: made.body.id } },
    ]);
    t.equal(hook.target.asked, asked);
    hook.target.status = 204;
    t.match((await call('PATCH', path, { body: { enabled: true } })).body, { enabled: true, disabled: null });
    await hook.until(() => hook.received.length === 2);
    t.same(hook.received.map(({ body }) => JSON.parse(body).subject.id).sort(), ['a', 'b']);
  },
);

t.test('leads neither to private addresses, nor to this API, nor after a redirect', async (t) => {
  const { call, url, hook } = await start(t, testFolder(t));
  const make = (target: string) => call('POST', '/v1/webhooks', { body: { url: target } });
  const refused = { status: 400, body: { errors: [{ pointer: '/url' }] } };
  t.match(await make(`${url}/v1/routes`), refused, 'of the fleet’s own');
  const { body: made } = await make(hook.url);
  hook.target.status = 302;
  hook.target.headers = { location: `${url}/healthz` };
  t.match((await call('POST', `/v1/webhooks/${made.id}/test`, {})).body, {
    ok: false,
    status: 302,
    detail: /redirects are not followed/,
  });
  await call('PATCH', '/v1/settings', { body: { webhookTargets: null } });
  for (const target of [
    hook.url,
    'https://10.0.0.1/',
    'https://[::1]/',
    'https://169.254.169.254/latest/meta-data/',
    'https://[fd00:ec2::254]/',
    'https://localhost/',
    'https://localhost.:8443/',
    'https://hooks.localhost/',
    'https://0.0.0.0/',
    'https://2130706433/',
    'https://0x7f.1/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::ffff:a9fe:a9fe]/',
    'https://[64:ff9b::a00:1]/',
    'https://[2002:7f00:1::]/',
    'https://[fe80::1]/',
    'https://[fec0::1]/',
    'https://203.0.113.7/',
  ])
    t.match(await make(target), refused, target);
  hook.target.asked = 0;
  t.match((await call('POST', `/v1/webhooks/${made.id}/test`, {})).body, { ok: false, status: null });
  t.equal(hook.target.asked, 0, 'one that was made before is asked no more');
});

t.test(
  'what GET shows can be PUT back, for one of several writers, and a repeat does nothing twice',
  async (t) => {
    const { call, url, hook, store } = await start(t, testFolder(t));
    const made = await call('POST', '/v1/webhooks', { body: { url: hook.url, types: ['route.*'] } });
    const path = `/v1/webhooks/${made.body.id}`;
    const shown = await call('GET', path);
    const etag = shown.headers.get('etag')!;
    t.equal(made.headers.get('etag'), etag);
    t.equal((await call('HEAD', path)).headers.get('etag'), etag);
    t.equal((await call('GET', path, { headers: { 'if-none-match': etag } })).status, 304);
    const at = (await store.head()).number;
    t.match(await call('PUT', path, { body: shown.body }), { status: 200, body: shown.body });
    t.match(await call('PATCH', path, { body: {} }), { status: 200, body: shown.body });
    t.match(await call('PATCH', path, { body: { enabled: true } }), { status: 200, body: shown.body });
    t.equal((await store.head()).number, at, 'what changes nothing writes nothing');
    const ifMatch = { 'if-match': etag };
    const races = await Promise.all(
      ['a', 'b', 'c'].map((description) => call('PATCH', path, { body: { description }, headers: ifMatch })),
    );
    t.same(races.map(({ status }) => status).sort(), [200, 412, 412]);
    t.match(await call('PUT', path, { body: { url: hook.url } }), {
      body: { types: null, description: null, enabled: true },
    });
    for (const [method, more] of [
      ['PUT', { body: { url: hook.url } }],
      ['DELETE', {}],
      ['PATCH', { body: {} }],
    ] as const)
      t.equal((await call(method, path, { ...more, headers: ifMatch })).status, 412, method);
    t.match(await call('PUT', path, { body: { url: 'https://user@hooks.example.net/' } }), {
      status: 400,
      body: { errors: [{ pointer: '/url' }] },
    });

    const twice = async (address: string, body?: object) => {
      const headers = { 'idempotency-key': randomUUID() };
      const options = { headers, ...(body !== undefined && { body }) };
      const [one, other] = [await call('POST', address, options), await call('POST', address, options)];
      t.equal(other.headers.get('idempotency-replayed'), 'true', address);
      t.same(other.body, one.body, address);
      return one.body;
    };
    const { secret } = await twice(`${path}/rotate-secret`);
    const { event } = await twice(`${path}/test`);
    t.equal(hook.received.length, 1, 'one message');
    for (const one of [made.body.secret, secret]) t.ok(verified(one, hook.received[0]!));
    await call('PUT', '/v1/routes/r', { body: { hosts: ['r.example.com'], upstreams } });
    await hook.until(() => hook.received.length >= 2);
    const created = hook.received[1]!.headers['webhook-id'];
    await twice(`${path}/redeliver`, { event: created });
    t.equal(hook.received.filter(({ headers }) => headers['webhook-id'] === created).length, 2);
    t.match(await twice(`${path}/redeliver`, { since: '2026-01-01T00:00:00Z' }), { queued: 0 });

    await waitFor(async () => (await call('GET', `${path}/deliveries`)).body.items.length >= 3, {
      what: 'all to be kept',
    });
    const list = async (query: string) => (await call('GET', `${path}/deliveries?${query}`)).body;
    t.match((await list(`event=${created}`)).items, [{ type: 'route.created' }, { type: 'route.created' }]);
    t.match((await list('type=route.*&outcome=refused')).items, []);
    t.match((await list('')).items.at(-1), { event, type: 'webhook.test', subject: { kind: 'webhook' } });
    const all = (await list('')).items.map(({ id }: { id: string }) => id);
    const paged: string[] = [];
    for (let cursor = ''; ; ) {
      const page = await list(`limit=1${cursor}`);
      paged.push(...page.items.map(({ id }: { id: string }) => id));
      if (page.next === null) break;
      cursor = `&cursor=${page.next}`;
    }
    t.same(
      paged.filter((id) => all.includes(id)),
      all,
      'in pages, the latest first',
    );
    for (const text of [
      (await call('GET', `${path}/deliveries`)).text,
      (await call('GET', '/v1/audit')).text,
    ])
      t.notMatch(text, /whsec_|v1,/);
    const metrics = await (await fetch(`${url}/metrics`)).text();
    t.match(metrics, /^lockstep_webhook_deliveries_total\{outcome="taken"\} [1-9]/m);
    t.match(metrics, /^lockstep_webhook_subjects_waiting 0$/m);
    t.match(metrics, /^lockstep_webhook_oldest_waiting_seconds 0$/m);

    t.equal((await call('DELETE', path)).status, 204);
    t.equal((await call('DELETE', path)).status, 404);
    t.equal((await call('DELETE', `${path}?missing=ok`)).status, 204);
    t.equal((await call('PUT', path, { body: { url: hook.url } })).status, 404);
    t.equal(await store.count('webhook-delivery'), 0);
  },
);

t.test(
  'a tenant’s webhook gets what is the tenant’s, and stays when the token that made it goes',
  async (t) => {
    const { call, hook } = await start(t, testFolder(t));
    const scopes = ['webhooks:*', 'routes:*', 'tokens:*'];
    const token = async (tenant: string) =>
      (await call('POST', '/v1/tokens', { body: { name: tenant, scopes, tenant } })).body;
    const [shop, other] = [await token('shop'), await token('other')];
    const as = ({ token }: { token: string }, method: string, path: string, body?: object) =>
      call(method, path, { headers: { authorization: `Bearer ${token}` }, ...(body && { body }) });
    const made = await as(shop, 'POST', '/v1/webhooks', { url: hook.url });
    t.match(made, { status: 201, body: { tenant: 'shop', secret: /^whsec_/ } });
    const path = `/v1/webhooks/${made.body.id}`;
    t.match(await as(shop, 'POST', '/v1/webhooks', { url: hook.url, tenant: 'other' }), { status: 403 });
    t.match(await as(shop, 'PATCH', path, { tenant: null }), { status: 200, body: { tenant: 'shop' } });
    t.match(await as(shop, 'PATCH', path, { tenant: 'other' }), { status: 403 });
    t.match((await as(other, 'GET', '/v1/webhooks')).body.items, []);
    t.match((await as(other, 'GET', '/v1/webhooks?tenant=shop')).body.items, []);
    t.equal((await as(other, 'DELETE', path)).status, 404);
    t.equal((await as(other, 'DELETE', `${path}?missing=ok`)).status, 204);
    t.match((await as(shop, 'GET', '/v1/webhooks')).body.items, [{ id: made.body.id }]);
    t.match((await call('GET', '/v1/webhooks?tenant=shop')).body.items, [{ id: made.body.id }]);

    const route = (host: string) => ({ hosts: [`${host}.example.com`], upstreams });
    await as(other, 'PUT', '/v1/routes/theirs', route('theirs'));
    await call('PUT', '/v1/routes/nobodys', { body: route('nobodys') });
    await as(shop, 'DELETE', `/v1/tokens/${shop.id}`);
    t.equal((await as(shop, 'GET', path)).status, 401);
    const later = await token('shop');
    await as(later, 'PUT', '/v1/routes/ours', route('ours'));
    await hook.until(() => hook.received.length === 1);
    t.match(verified(made.body.secret, hook.received[0]!), {
      type: 'route.created',
      subject: { id: 'ours' },
    });
    const [theirs] = (await call('GET', '/v1/events?limit=10&route=theirs')).body.items;
    t.match(await as(later, 'POST', `${path}/redeliver`, { event: theirs.id }), { status: 410 });
    t.match(await call('POST', `${path}/redeliver`, { body: { event: theirs.id } }), { status: 410 });

    for (let more = 1; more < 10; more += 1)
      t.equal(
        (await as(later, 'POST', '/v1/webhooks', { url: hook.url, types: ['limit.near'] })).status,
        201,
      );
    t.match(await as(later, 'POST', '/v1/webhooks', { url: hook.url }), {
      status: 409,
      body: { code: 'wrong_state' },
    });
    t.equal((await as(other, 'POST', '/v1/webhooks', { url: hook.url })).status, 201);
    t.equal((await as(later, 'DELETE', path)).status, 204);
  },
);
