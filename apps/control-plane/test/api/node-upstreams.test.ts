import type { UpstreamState } from '@lockstep/contract';
import { testFolder } from '@lockstep/testkit';
import t from 'tap';
import { startControlPlane } from '../start-control-plane.ts';

t.test('asks a node how it finds its upstreams, page by page', async (t) => {
  const { call, report, store } = await startControlPlane(t, testFolder(t));
  const path = '/v1/nodes/edge-1/upstreams';
  t.match(await call('GET', path), { status: 404, body: { code: 'not_found' } });
  await report('edge-1');
  const silent = await call('GET', path);
  t.match(silent, { status: 504, body: { code: 'node_silent' } });

  const state: UpstreamState = {
    key: 'k',
    url: 'http://10.0.0.5:3000',
    state: 'unhealthy',
    by: 'active',
    since: '2026-11-26T14:02:00.000Z',
    detail: 'connection refused',
    checkedAt: '2026-11-26T14:03:00.000Z',
  };
  const odd = { key: 'o', url: 5 } as unknown as UpstreamState;
  const asked: object[] = [];
  store.watchHints((hint) => {
    if (hint.hint !== 'upstreams') return;
    const { id, ...rest } = hint;
    asked.push(rest);
    const next = hint.after === '' ? 'k' : null;
    void store.sendHint({ hint: 'upstream-states', id: 'of another question', states: [], next: null });
    void store.sendHint({ hint: 'upstream-states', id, states: [state, odd], next });
  });
  const { key, ...shown } = state;
  await report('edge-1');
  t.match(await call('GET', `${path}?limit=1`), { status: 200, body: { items: [shown], next: 'k' } });
  const second = await call('GET', `${path}?limit=1&cursor=k`);
  t.same(second.body, { items: [shown], next: null }, 'without what cannot be read');
  const question = { hint: 'upstreams', node: 'edge-1', limit: 1 };
  t.same(asked, [
    { ...question, after: '' },
    { ...question, after: 'k' },
  ]);
});
