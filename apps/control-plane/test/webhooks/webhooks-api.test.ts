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
    t.same(
      hook.received.map(({ body }) => [JSON.parse(body).type, JSON.parse(body).subject.id]),
      [
        ['route.created', 'a'],
        ['route.created', 'c'],
        ['route.deleted', 'a'],
      ],
    );
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
    t.equal(hook.target.asked, 1);
    t.match((await call('GET', '/v1/events?limit=10&type=webhook.disabled')).body.items, [
      { subject: { kind: 'webhook', id: made.body.id } },
    ]);
    hook.target.status = 204;
    t.match((await call('PATCH', path, { body: { enabled: true } })).body, { enabled: true, disabled: null });
    await hook.until(() => hook.received.length === 2);
    t.same(
      hook.received.map(({ body }) => JSON.parse(body).subject.id),
      ['a', 'b'],
    );
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
    'https://169.254.169.254/',
    'https://localhost/',
  ])
    t.match(await make(target), refused, target);
  hook.target.asked = 0;
  t.match((await call('POST', `/v1/webhooks/${made.id}/test`, {})).body, { ok: false, status: null });
  t.equal(hook.target.asked, 0, 'one that was made before is asked no more');
});
