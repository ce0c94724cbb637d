import { idleOrder, type LogEntry, type LoggedChange } from '@lockstep/contract';
import t from 'tap';
import type { ChangeListener } from '../../src/changes/change-hub.ts';
import { createWaitedOrders } from '../../src/orders/waited-orders.ts';

t.test('orders that somebody waits for, until they stand still or have reached the edges', async (t) => {
  let now = Date.parse('2026-01-01T00:00:00Z');
  const at = (ms: number) => new Date(now + ms).toISOString();
  let tell: ChangeListener = () => {};
  const hub = {
    watch(listener: ChangeListener) {
      tell = listener;
      return () => {};
    },
  };
  const waited = createWaitedOrders({ hub, now: () => now });
  t.teardown(waited.close);
  const hear = (change: LoggedChange) => tell({ changes: [change] } as LogEntry);
  const put = (id: string, changes: object) => {
    const value = { ...idleOrder(id, at(0), at(0)), ...changes };
    hear({ op: 'put', kind: 'order', id, value } as LoggedChange);
  };
  t.notOk(waited.any(), 'none at first');
  put('bulk.test', { waitedUntil: null });
  t.notOk(waited.any(), 'nobody waits for an import');
  put('a.test', { waitedUntil: at(60_000) });
  t.ok(waited.any());
  now += 1_500;
  t.notOk(waited.any(), 'it stands still: it waits for a CA, or for the DNS');
  put('a.test', { waitedUntil: at(60_000), step: 'authorized' });
  t.ok(waited.any(), 'it has come a step further');
  put('a.test', { waitedUntil: at(60_000), renewAt: at(1e9) });
  t.ok(waited.any(), 'issued, and on its way to the edges');
  now += 200;
  t.notOk(waited.any());
  for (const ended of [{ op: 'delete' }, { lastError: {} }, { waitingForDns: {} }]) {
    put('b.test', { waitedUntil: at(60_000) });
    t.ok(waited.any());
    if ('op' in ended) hear({ op: 'delete', kind: 'order', id: 'b.test' });
    else put('b.test', { waitedUntil: at(60_000), ...ended });
    t.notOk(waited.any(), `ended by ${Object.keys(ended)}`);
  }
  put('c.test', { waitedUntil: at(60_000) });
  tell(null);
  t.notOk(waited.any(), 'after a gap nothing is known');
});
