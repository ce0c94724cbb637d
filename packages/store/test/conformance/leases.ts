import type { Test } from 'tap';
import type { Backend } from './backend.ts';
import { commitOf, putRoute } from './records.ts';

const shortMs = 60;
/** Long enough for a renewal on a busy machine. */
const busyMs = 1_000;
const longMs = 60_000;

export async function leases(t: Test, backend: Backend): Promise<void> {
  await t.test('a lease has one holder, until it is released or runs out', async (t) => {
    const { store, another, pass } = await backend.bench(t);
    const other = await another();
    const first = await store.acquireLease('order/a', longMs);
    t.match(first, { name: 'order/a', token: Number });
    t.equal(await other.acquireLease('order/a', longMs), null);
    t.equal(await store.acquireLease('order/a', longMs), null, 'not even for its holder');
    const elsewhere = await other.acquireLease('order/b', longMs);
    t.ok(elsewhere!.token > first!.token, 'tokens grow whatever the name');
    await store.releaseLease(first!);
    const second = await other.acquireLease('order/a', shortMs);
    t.ok(second!.token > elsewhere!.token);
    await pass(shortMs);
    const third = await store.acquireLease('order/a', longMs);
    t.ok(third!.token > second!.token);
    await other.releaseLease(second!);
    t.equal(await other.acquireLease('order/a', longMs), null, 'a former holder releases nothing');
  });

  await t.test('one of many that ask at once gets the lease', async (t) => {
    const { store, another } = await backend.bench(t);
    const stores = [store, await another()];
    const asked = await Promise.all(
      Array.from({ length: 20 }, (_, i) => stores[i % 2]!.acquireLease('one', longMs)),
    );
    t.equal(asked.filter((lease) => lease !== null).length, 1);
  });

  await t.test('a lease can be renewed while it runs, and not after', async (t) => {
    const { store, pass } = await backend.bench(t);
    const lease = (await store.acquireLease('a', busyMs))!;
    const renewed = await store.renewLease(lease, longMs);
    t.equal(renewed.token, lease.token);
    t.ok(renewed.expiresAt > lease.expiresAt);
    await pass(busyMs);
    t.equal(await store.acquireLease('a', longMs), null, 'it runs on');
    const short = await store.renewLease(renewed, shortMs);
    await pass(shortMs);
    await t.rejects(store.renewLease(short, longMs), { code: 'lease_lost' });
    await store.acquireLease('a', longMs);
    await t.rejects(store.renewLease(lease, longMs), { code: 'lease_lost' });
  });

  await t.test('a commit under a lost lease is refused', async (t) => {
    const { store, another, pass } = await backend.bench(t);
    const former = (await store.acquireLease('a', busyMs))!;
    t.equal((await store.commit({ ...commitOf(putRoute('a')), lease: former })).number, 1);
    await pass(busyMs);
    await t.rejects(
      store.commit({ ...commitOf(putRoute('b')), lease: former }),
      { code: 'lease_lost' },
      'run out',
    );
    const present = (await (await another()).acquireLease('a', longMs))!;
    await t.rejects(
      store.commit({ ...commitOf(putRoute('b')), lease: former }),
      { code: 'lease_lost' },
      'taken over',
    );
    await t.rejects(store.commit({ ...commitOf(putRoute('b')), lease: { ...present, name: 'b' } }), {
      code: 'lease_lost',
    });
    const commit = { ...commitOf(putRoute('b')), lease: present };
    const made = await store.commit(commit);
    await store.releaseLease(present);
    t.same(await store.commit(commit), made, 'a repeated commit asks for no lease');
    t.equal((await store.head()).number, 2);
  });
}
