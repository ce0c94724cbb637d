import t from 'tap';
import { adminToken, startControlPlane } from '../start-control-plane.ts';
import { followEvents } from './follow-events.ts';

const body = { hosts: ['a.example.com'], upstreams: [{ url: 'http://127.0.0.1:3000' }] };
const json = { headers: { accept: 'application/json' } };

t.test('tells of a route what becomes of it, once and in order, as it happens and afterwards', async (t) => {
  const { call, url, acknowledge } = await startControlPlane(t, t.testdir());
  const seen = followEvents(t, url, adminToken);
  await seen.opened;
  acknowledge('edge-1');
  const made = await call('POST', '/v1/routes', {
    body: { ...body, id: 'a', tenant: 'shop' },
    headers: { prefer: 'wait=30' },
  });
  t.equal(made.body.status.state, 'live');
  await seen.until('route.live');
  await call('PATCH', '/v1/routes/a', { body: { paths: ['/x'] } });
  await seen.until('route.live', 2);
  await call('PATCH', '/v1/routes/a', { body: { paths: ['/x'] } });
  await call('DELETE', '/v1/routes/a');
  await seen.until('route.deleted');
  const ofRoute = seen.events.filter(({ data }) => data.routes?.includes('a'));
  t.same(
    ofRoute.map(({ type }) => type),
    ['route.created', 'certificate.issued', 'route.live', 'route.updated', 'route.live', 'route.deleted'],
  );
  t.ok(ofRoute.every(({ tenant }) => tenant === 'shop'));
  t.match(ofRoute[2], {
    subject: { kind: 'route', id: 'a' },
    data: { hosts: ['a.example.com'], state: 'live', nodes: { live: 1, of: 1 } },
  });
  const types = seen.events.map(({ type }) => type);
  t.equal(types.filter((type) => type === 'node.joined').length, 1);
  t.equal(types.filter((type) => type === 'fleet.in_step').length, 1);
  const listed = await call('GET', '/v1/events?route=a&limit=100');
  t.same(listed.body.items, ofRoute);
});

t.test('who may see one tenant alone is told of that one', async (t) => {
  const { call, url } = await startControlPlane(t, t.testdir());
  const token = { name: 'shop', scopes: ['events:read'], tenant: 'shop' };
  const made = await call('POST', '/v1/tokens', { body: token });
  const mine = followEvents(t, url, made.body.token);
  await mine.opened;
  for (const [id, tenant] of [
    ['a', 'other'],
    ['b', undefined],
    ['c', 'shop'],
  ])
    await call('PUT', `/v1/routes/${id}`, { body: { ...body, hosts: [`${id}.example.com`], tenant } });
  await mine.until('route.created');
  t.match(mine.events, [{ subject: { id: 'c' } }]);
  const all = await call('GET', '/v1/events?limit=100&type=route.created');
  t.equal(all.body.items.length, 3);
  for (const query of ['tenant=other', 'route=a', 'host=a.example.com', 'type=node.*']) {
    const { body } = await call('GET', `/v1/events?limit=100&${query}`, {
      headers: { authorization: `Bearer ${made.body.token}` },
    });
    t.same(body.items, [], query);
  }
});

t.test('a list goes on page by page, and what is no longer kept is told of', async (t) => {
  const { call, url } = await startControlPlane(t, t.testdir());
  for (const id of ['a', 'b', 'c', 'd'])
    await call('PUT', `/v1/routes/${id}`, { body: { ...body, hosts: [`${id}.example.com`] } });
  const path = '/v1/events?type=route.created&limit=2';
  const first = (await call('GET', path)).body;
  const second = (await call('GET', `${path}&since=${first.next}`)).body;
  t.match(
    [...first.items, ...second.items],
    ['a', 'b', 'c', 'd'].map((id) => ({ subject: { id } })),
  );
  t.equal((await call('GET', `/v1/events?since=${second.last}`, json)).status, 200);
  t.match((await call('GET', '/v1/events?since=yesterday&type=route.gone', json)).body, {
    code: 'invalid_request',
    errors: [{ pointer: 'since' }, { pointer: /type/ }],
  });

  await call('PATCH', '/v1/settings', { body: { events: { entries: 1 } } });
  await call('DELETE', '/v1/routes/a');
  t.match(await call('GET', `${path}&since=${first.next}`), { status: 410, body: { code: 'events_gone' } });
  t.match(await call('GET', `${path}&since=beginning`), { status: 200 });
  const since = `${first.next.slice(0, -8)}00000000`;
  const behind = followEvents(t, url, adminToken, { path: `/v1/events?since=${since}` });
  await behind.until('route.deleted');
  t.match(behind.gaps, [{ since }], 'of a history that is gone');
});

t.test('whoever takes over tells what the one before did not, and nothing twice', async (t) => {
  const folders = [t.testdir({ one: {}, two: {} })].flatMap((dir) => [`${dir}/one`, `${dir}/two`]);
  const one = await startControlPlane(t, folders[0]!);
  const { store, sealers } = one;
  const stopActing = one.acknowledge('edge-1');
  await one.call('PUT', '/v1/routes/a', { body, headers: { prefer: 'wait=30' } });
  const seen = followEvents(t, one.url, adminToken, { path: '/v1/events?since=beginning' });
  await seen.until('route.live');
  const two = await startControlPlane(t, folders[1]!, {}, { store, sealers });
  await one.close();
  const after = followEvents(t, two.url, adminToken, { path: `/v1/events?since=${seen.events.at(-1)?.id}` });
  await two.call('PUT', '/v1/routes/b', {
    body: { ...body, hosts: ['b.example.com'] },
    headers: { prefer: 'wait=30' },
  });
  await after.until('route.live');
  stopActing();
  await one.report('edge-1', { drained: { since: new Date().toISOString(), connections: 0 } });
  await after.until('node.drained');
  const told = (await two.call('GET', '/v1/events?limit=1000')).body.items as { type: string }[];
  t.equal(told.filter(({ type }) => type === 'route.live').length, 2);
  t.equal(told.filter(({ type }) => type === 'node.joined').length, 1);
  t.same(
    [...seen.events, ...after.events].map(({ id }) => id),
    (await two.call('GET', '/v1/events?limit=1000')).body.items
      .map(({ id }: { id: string }) => id)
      .slice(0, seen.events.length + after.events.length),
  );
});
