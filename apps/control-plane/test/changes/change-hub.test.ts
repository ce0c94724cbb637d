import { createBoundary } from '@lockstep/contract';
import { type ConfigStore, createSqliteStore } from '@lockstep/store';
import { waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t from 'tap';
import { createChangeHub } from '../../src/changes/change-hub.ts';
import { newOrder, putOrder } from '../../src/orders/order-record.ts';

t.test(
  'a listener that throws and a look that breaks off keep nobody from hearing what changes',
  async (t) => {
    const store = createSqliteStore({ path: ':memory:' });
    await store.open({ create: true, expectedEpoch: null });
    const lines: string[] = [];
    const log = pino({ level: 'error' }, { write: (line) => lines.push(line) });
    let looks = 0;
    const breaking: ConfigStore = Object.create(store, {
      follow: {
        async *value(...args: Parameters<ConfigStore['follow']>) {
          looks += 1;
          for await (const event of store.follow(...args)) {
            yield event;
            if (looks === 1 && event.type === 'commit')
              throw new TypeError('an entry of a shape nobody knows');
          }
        },
      },
    });
    const boundary = createBoundary(log);
    const hub = await createChangeHub({ store: breaking, log, boundary });
    t.teardown(async () => {
      await hub.close();
      await store.close();
    });
    const heard: (string | null)[] = [];
    const ids: (string | null)[] = [];
    hub.watch(() => {
      throw new Error('a listener at fault');
    });
    hub.watch((entry) => {
      heard.push(entry === null ? null : entry.changes.map(({ kind, id }) => `${kind}/${id}`).join());
      ids.push(entry?.position.commitId ?? null);
    });
    const write = (host: string) =>
      store.commit({ id: host, changes: [putOrder(host, newOrder(host, Date.now()))] });
    await write('a.example.com');
    await waitFor(() => looks === 2, { what: 'another look' });
    t.same(heard[0], 'order/a.example.com');
    t.same(ids[0], 'a.example.com', 'with the whole of its commit');
    await write('b.example.com');
    await waitFor(() => heard.includes('order/b.example.com'), { what: 'the change after it' });
    t.ok(heard.includes(null), 'what came between may have been missed');
    t.equal(boundary.exceptions.changes, 1);
    t.ok((boundary.exceptions.change ?? 0) >= 2);
    t.equal(lines.length, 2, 'each told once');
  },
);
