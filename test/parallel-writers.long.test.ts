import { startUpstream, testFolder } from '@lockstep/testkit';
import t from 'tap';
import { startFleet } from './fleet/start-fleet.ts';

t.test(
  'writers of one host, of one route and of the settings at two control planes all succeed',
  async (t) => {
    const upstream = await startUpstream();
    t.teardown(() => upstream.close());
    const { call, controlPlanes } = await startFleet(t, { dir: testFolder(t), controlPlanes: 2, edges: 1 });
    const atBoth = (count: number, write: (index: number, url: string) => ReturnType<typeof call>) =>
      Promise.all(Array.from({ length: count }, (_, index) => write(index, controlPlanes[index % 2]!.url)));
    const statuses = (answers: Awaited<ReturnType<typeof atBoth>>) => [
      ...new Set(answers.map(({ status, text }) => (status < 300 ? status : text))),
    ];
    const upstreams = [{ url: upstream.url }];
    const hosts = ['shop.example.com'];

    const made = await atBoth(60, (index, url) =>
      call('POST', '/v1/routes', { id: `r${index}`, hosts, paths: [`/${index}`], upstreams }, {}, url),
    );
    t.same(statuses(made), [201]);
    t.equal((await call('GET', '/v1/routes?host=shop.example.com&limit=200')).body.items.length, 60);

    const patched = await atBoth(200, (index, url) =>
      call('PATCH', '/v1/routes/r0', { upstreams: [{ url: `http://127.0.0.1:${index + 1}` }] }, {}, url),
    );
    t.ok(
      patched.every(({ status }) => status === 200 || status === 202),
      statuses(patched).join(),
    );
    const { revision, upstreams: last } = (await call('GET', '/v1/routes/r0')).body;
    const winner = patched.find(({ body }) => body.upstreams[0].url === last[0].url);
    t.ok(winner !== undefined && revision >= winner.body.revision, 'the last of them stands');

    const settings = await atBoth(30, (index, url) =>
      call(
        'PATCH',
        '/v1/settings',
        index % 3 === 0 ? { waitingShare: index } : { edgeAddresses: [] },
        {},
        url,
      ),
    );
    t.same(statuses(settings), [200]);

    const mixed = await atBoth(60, (index, url) => {
      const id = `r${index}`;
      if (index % 3 === 0) return call('DELETE', `/v1/routes/${id}`, undefined, {}, url);
      if (index % 3 === 1)
        return call('PUT', `/v1/routes/${id}`, { hosts, paths: [`/${index}`], upstreams }, {}, url);
      return call(
        'POST',
        '/v1/routes',
        { id: `new${index}`, hosts, paths: [`/new${index}`], upstreams },
        {},
        url,
      );
    });
    t.ok(
      mixed.every(({ status }) => status < 300),
      statuses(mixed).join(),
    );
    const settled = await call(
      'PUT',
      '/v1/routes/r1',
      { hosts, paths: ['/1'], upstreams },
      { prefer: 'wait=60' },
    );
    t.match(settled, { status: 200, body: { status: { state: 'live', nodes: { live: 1, of: 1 } } } });
  },
);
