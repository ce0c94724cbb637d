import type { EventDraft } from '@lockstep/contract';
import type { Test } from 'tap';
import type { Backend } from './backend.ts';
import { commitOf, putRoute } from './records.ts';

export async function events(t: Test, backend: Backend): Promise<void> {
  await t.test('events enter the history with their commit, in its order, each once', async (t) => {
    const { store, another } = await backend.bench(t);
    const began = await store.now();
    const first = { ...commitOf(putRoute('a')), events: [created('a'), live('a')] };
    const { epoch, number } = await store.commit(first);
    await store.commit(first);
    await store.commit(commitOf(putRoute('b')));
    const checks = [{ kind: 'route' as const, id: 'a', revision: null }];
    await t.rejects(store.commit({ ...commitOf(putRoute('a')), checks, events: [created('c')] }), {
      code: 'revision_conflict',
    });
    await store.commit({ ...commitOf(putRoute('d')), events: [{ ...created('d'), tenant: 'one' }] });
    const page = await (await another()).readEvents({ limit: 10 });
    const id = (of: number, index: number) =>
      `${String(of).padStart(15, '0')}-000${index}-${epoch.slice(0, 8)}`;
    t.same(
      page.items.map(({ at: _, ...event }) => event),
      [
        { id: id(number, 0), ...created('a') },
        { id: id(number, 1), ...live('a') },
        { id: id(number + 2, 0), ...created('d'), tenant: 'one' },
      ],
    );
    t.match(page, { gap: false, more: false, next: page.items[2]?.id });
    const ended = await store.now();
    t.ok(page.items.every(({ at }) => at >= began - 1 && at <= ended + 1));
    t.same(
      page.items.map((event) => event.id),
      page.items.map((event) => event.id).sort(),
      'ids order as text',
    );
  });

  await t.test('who reads on from an id gets what came after it, page by page', async (t) => {
    const { store } = await backend.bench(t);
    t.same(await store.readEvents({ after: '', limit: 2 }), {
      items: [],
      gap: false,
      next: '',
      more: false,
      last: '',
    });
    for (const id of ['a', 'b', 'c'])
      await store.commit({ ...commitOf(putRoute(id)), events: [created(id)] });
    const first = await store.readEvents({ after: '', limit: 2 });
    t.match(first, { gap: false, more: true, items: [created('a'), created('b')] });
    const second = await store.readEvents({ after: first.next, limit: 2 });
    t.match(second, { gap: false, more: false, items: [created('c')] });
    t.match(await store.readEvents({ limit: 0 }), { items: [], last: second.next });
    t.match(await store.readEvents({ after: second.next, limit: 2 }), {
      items: [],
      gap: false,
      next: second.next,
    });
  });

  await t.test('who reads on from an id that is no longer kept is told of the gap', async (t) => {
    const { store } = await backend.bench(t);
    store.boundEvents({ ageMs: 3_600_000, entries: 3 });
    const seen: string[] = [];
    for (const id of ['a', 'b', 'c', 'd', 'e']) {
      await store.commit({ ...commitOf(putRoute(id)), events: [created(id)] });
      seen.push((await store.readEvents({ after: seen.at(-1) ?? '', limit: 1 })).next);
    }
    const whole = { items: [created('c'), created('d'), created('e')], next: seen[4] };
    t.match(await store.readEvents({ after: '', limit: 9 }), { ...whole, gap: true });
    t.match(await store.readEvents({ after: seen[0]!, limit: 9 }), { ...whole, gap: true });
    t.match(await store.readEvents({ after: seen[1]!, limit: 9 }), { ...whole, gap: false });
    t.match(await store.readEvents({ limit: 9 }), { ...whole, gap: false }, 'from the oldest that is kept');
    const elsewhere = `${seen[3]!.slice(0, -8)}00000000`;
    t.match(
      await store.readEvents({ after: elsewhere, limit: 9 }),
      { gap: true, items: [created('e')] },
      'an event of another history is none of this one',
    );
    store.boundEvents({ ageMs: 3_600_000, entries: 0 });
    t.match(await store.readEvents({ after: seen[3]!, limit: 9 }), { items: [] });
  });

  await t.test('what is older than is kept is neither given nor kept, and its lack is told', async (t) => {
    const { store, pass } = await backend.bench(t);
    await store.commit({ ...commitOf(putRoute('a')), events: [created('a'), live('a')] });
    await pass(1_500);
    store.boundEvents({ ageMs: 1_000, entries: 5 });
    t.match(await store.readEvents({ after: '', limit: 5 }), { items: [], gap: true });
    await store.commit({ ...commitOf(putRoute('b')), events: [created('b')] });
    store.boundEvents({ ageMs: 3_600_000, entries: 5 });
    const page = await store.readEvents({ limit: 5 });
    t.match(page.items, [created('b')]);
    t.equal(page.items.length, 1);
    t.match(await store.readEvents({ after: '', limit: 5 }), { gap: true });
  });

  await t.test('a commit tells so many events, at most', async (t) => {
    const { store } = await backend.bench(t);
    const many = Array.from({ length: 501 }, () => live('a'));
    await t.rejects(store.commit({ ...commitOf(putRoute('a')), events: many }), { code: 'commit_too_large' });
    t.same((await store.readEvents({ limit: 5 })).items, []);
  });
}

const created = (id: string): EventDraft => draft('route.created', id);
const live = (id: string): EventDraft => draft('route.live', id);

function draft(type: EventDraft['type'], id: string): EventDraft {
  return { type, subject: { kind: 'route', id }, data: { hosts: [`${id}.example.com`], routes: [id] } };
}
