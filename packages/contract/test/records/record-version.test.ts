import t from 'tap';
import {
  broughtUpToDate,
  changeFault,
  idleOrder,
  isReadable,
  recordFault,
  withVersion,
} from '../../src/index.ts';

const at = '2026-11-24T00:00:00.000Z';
const order = idleOrder('a.example.com', at, at);
const confirmation = { revision: { epoch: 'e', number: 7 } };

t.test('a value is kept with its version, and in memory it says none', async (t) => {
  const kept = JSON.parse(JSON.stringify(withVersion('order', order)));
  t.strictSame(kept, { version: 2, ...order });
  t.strictSame(broughtUpToDate('order', kept), order);
  t.strictSame(withVersion('confirmation', confirmation), confirmation, 'the first version is not said');
  t.strictSame(broughtUpToDate('confirmation', { version: 1, ...confirmation }), confirmation);
});

t.test('a value of an earlier version is brought up to date where it is read', async (t) => {
  const earlier = { host: order.host, createdAt: at, dueAt: at, failures: 3 };
  t.strictSame(broughtUpToDate('order', earlier), { ...order, failures: 3 });
  t.ok(isReadable({ kind: 'order', value: broughtUpToDate('order', earlier) }));
});

t.test('a value of a version that is not known is kept as it is, and refused by name', async (t) => {
  const newer = { version: 2, ...confirmation };
  t.equal(broughtUpToDate('confirmation', newer), newer);
  t.notOk(isReadable({ kind: 'confirmation', value: newer }));
  const record = { kind: 'confirmation', id: 'edge-1', revision: 3, value: newer };
  t.equal(recordFault(record), 'is of version 2, where version 1 is read');
  t.equal(changeFault({ op: 'put', ...record }, 3), 'is of version 2, where version 1 is read');
  t.strictSame(withVersion('confirmation', newer), newer, 'and stays what it says it is');
  for (const version of [0, -1, 1.5, '1', null, {}])
    t.notOk(
      isReadable({ kind: 'order', value: broughtUpToDate('order', { ...order, version }) }),
      `${version}`,
    );
});
