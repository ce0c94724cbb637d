import { type Hint, nodeLostAfterMs, type Position } from '@lockstep/contract';
import { waitFor } from '@lockstep/testkit';
import type { Test } from 'tap';
import type { Backend } from './backend.ts';
import { commitOf, putRoute, report } from './records.ts';

export async function presence(t: Test, backend: Backend): Promise<void> {
  await t.test('nodes report, are listed by id, and leave', async (t) => {
    const { store, another } = await backend.bench(t);
    const other = await another();
    t.same(await store.listNodes(), []);
    const before = await store.now();
    await store.reportNode(report('b', { hosts: 7 }));
    await other.reportNode(
      report('a', { home: 'home-2', applied: { epoch: 'e', number: 4, commitId: 'c' } }),
    );
    const nodes = await other.listNodes();
    t.match(nodes, [
      { report: { node: 'a', applied: { epoch: 'e', number: 4 } }, live: true },
      { report: { node: 'b', hosts: 7 }, live: true },
    ]);
    t.ok(nodes.every(({ seenAt }) => seenAt >= before));
    await store.removeNode('b', 'another-instance', { returns: false });
    t.equal((await store.listNodes()).length, 2, 'another instance removes nothing');
    await store.removeNode('b', 'instance-1', { returns: false });
    t.match(await store.listNodes(), [{ report: { node: 'a' } }]);
    await store.reportNode(report('b', { instance: 'instance-9', home: 'home-9' }));
    t.equal((await store.listNodes()).length, 2, 'it may come back at once');
  });

  await t.test(
    'a second live process under a node id is refused, a restart on the same home is not',
    async (t) => {
      const { store } = await backend.bench(t);
      await store.reportNode(report('a'));
      const stranger = report('a', { instance: 'instance-2', home: 'home-2' });
      await t.rejects(store.reportNode(stranger), { code: 'node_id_taken', facts: { node: 'a' } });
      t.match(await store.listNodes(), [{ report: { instance: 'instance-1' } }]);
      await store.reportNode(report('a', { instance: 'instance-3' }));
      t.match(await store.listNodes(), [{ report: { instance: 'instance-3' } }]);
    },
  );

  await t.test('a node that stops to return stays expected, until it is forgotten', async (t) => {
    const { store, another } = await backend.bench(t);
    const other = await another();
    await store.reportNode(report('a'));
    await store.removeNode('a', 'instance-1', { returns: true });
    t.match(await other.listNodes(), [{ report: { node: 'a' }, live: false, stopped: true }]);
    await store.reportNode(report('a', { instance: 'instance-2', home: 'home-2' }));
    t.match(await other.listNodes(), [{ live: true, stopped: false }], 'its id is free meanwhile');
    t.equal(await other.forgetNode('a'), true);
    t.same(await store.listNodes(), []);
    t.equal(await other.forgetNode('a'), false);
    await store.reportNode(report('a', { instance: 'instance-2', home: 'home-2' }));
    t.equal((await store.listNodes()).length, 1, 'one that reports again is expected again');
  });

  await t.test('the position of a report is compared with the history', async (t) => {
    const { store, another } = await backend.bench(t);
    const other = await another();
    const first = await store.commit(commitOf(putRoute('a')));
    const head = await store.commit(commitOf(putRoute('b')));
    const standingOf = async (applied: Position | null) => {
      await other.reportNode(report('a', { applied }));
      return (await store.listNodes())[0]?.standing;
    };
    t.equal(await standingOf(null), null);
    t.equal(await standingOf(first), 'on');
    t.equal(await standingOf(head), 'on');
    t.equal(await standingOf({ ...head, number: 3 }), 'ahead');
    t.equal(await standingOf({ ...head, number: 1 }), 'apart');
    t.equal(await standingOf({ ...head, commitId: 'another' }), 'apart');
    t.equal(await standingOf({ ...head, epoch: 'another' }), 'apart');
  });

  await t.test('watchers hear of reports and removals', async (t) => {
    const { store, another } = await backend.bench(t);
    const heard: (string | null)[] = [];
    const unwatch = (await another()).watchNodes((found) => heard.push(found?.report.instance ?? null));
    t.teardown(unwatch);
    const until = (what: string | null, times = 1) =>
      waitFor(() => heard.filter((one) => one === what).length >= times, { what: `${what}` });
    // The subscription stands when a report comes through; until then they may be lost.
    await waitFor(
      async () => {
        await store.reportNode(report('a'));
        return heard.includes('instance-1');
      },
      { what: 'the first report' },
    );
    await store.reportNode(report('a', { instance: 'instance-2' }));
    await until('instance-2');
    const nulls = heard.filter((one) => one === null).length;
    await store.removeNode('a', 'instance-2', { returns: false });
    await until(null, nulls + 1);
    t.pass('heard of each');
  });
}

/** Only where the clock can be moved: a Redis would have to be waited for. */
export async function lostNodes(t: Test, backend: Backend): Promise<void> {
  await t.test('a node not heard of is lost after its time, and then its id is free', async (t) => {
    const { store, pass } = await backend.bench(t);
    await store.reportNode(report('a'));
    await pass(nodeLostAfterMs);
    t.match(await store.listNodes(), [{ live: true }]);
    await pass(1);
    t.match(await store.listNodes(), [{ live: false }]);
    await store.reportNode(report('a', { instance: 'instance-2', home: 'home-2' }));
    t.match(await store.listNodes(), [{ live: true, report: { instance: 'instance-2' } }]);
    await pass(30 * 86_400_000);
    t.match(
      await store.listNodes(),
      [{ live: false, report: { node: 'a' } }],
      'expected until it is forgotten',
    );
  });

  await t.test('hints reach whoever watches, the sender too', async (t) => {
    const { store, another } = await backend.bench(t);
    const other = await another();
    const heard = new Map<string, string[]>([
      ['sender', []],
      ['other', []],
    ]);
    const hearAs = (name: string) => (hint: Hint) => {
      if ('host' in hint) heard.get(name)!.push(hint.host);
    };
    t.teardown(store.watchHints(hearAs('sender')));
    const unwatch = other.watchHints(hearAs('other'));
    const hear = (host: string) =>
      waitFor(
        async () => {
          await store.sendHint({ hint: 'ask', host, node: 'a' });
          return [...heard.values()].every((hosts) => hosts.includes(host));
        },
        { what: `a hint of ${host}` },
      );
    await hear('a.example.com');
    unwatch();
    const before = heard.get('other')!.length;
    await store.sendHint({ hint: 'verdict', host: 'b.example.com', allowed: true, until: 1 });
    await waitFor(() => heard.get('sender')!.includes('b.example.com'), { what: 'the sender’s own' });
    t.equal(heard.get('other')!.length, before, 'whoever stopped watching hears no more');
  });
}
