import { durationBuckets, durationQuantile, sumOfTraffic } from '@lockstep/contract';
import t from 'tap';
import { createBusiestHosts } from '../../../src/native/observation/busiest-hosts.ts';
import { hideAddress, hideQuery } from '../../../src/native/observation/hidden-parts.ts';
import { createTrafficTable } from '../../../src/native/observation/traffic-table.ts';

const minute = 60_000;

t.test('traffic of a route is told over 1, 5 and 60 minutes, and goes as time does', async (t) => {
  const table = createTrafficTable();
  const requestsAt = (now: number) => table.of('shop', now).map(({ requests }) => requests);
  table.count('shop', 1_000, 2, false, 10, 100);
  table.count('shop', 2_000, 3, true, 0, 50);
  table.count('other', 2_000, 3, false, 0, 0);
  t.same(requestsAt(2_000), [2, 2, 2]);
  const [last] = table.of('shop', 2_000);
  t.match(last, { requests: 2, errors: 1, bytesIn: 10, bytesOut: 150 });
  table.count('shop', 2.5 * minute, 4, false, 0, 0);
  t.same(requestsAt(2.5 * minute), [1, 3, 3]);
  t.same(requestsAt(4.5 * minute), [0, 3, 3]);
  t.same(requestsAt(20 * minute), [0, 0, 3]);
  t.same(requestsAt(80 * minute), [0, 0, 0]);
  t.same(
    table.of('nothing', 0).map(({ requests }) => requests),
    [0, 0, 0],
  );
});

t.test(
  'what several processes counted can be added up, and its quantiles are a fifth off at most',
  async (t) => {
    const tables = [createTrafficTable(), createTrafficTable()];
    const all: number[] = [];
    for (let i = 0; i < 2_000; i += 1) {
      const ms = 0.3 * 1.004 ** i;
      all.push(ms);
      tables[i % 2]!.count('shop', 0, ms, false, 0, 0);
    }
    const [sum] = sumOfTraffic(tables.map((table) => table.of('shop', 0)));
    t.equal(sum!.requests, 2_000);
    t.equal(sum!.durations.length, durationBuckets);
    for (const share of [0.5, 0.9, 0.99]) {
      const is = all[Math.ceil(share * all.length) - 1]!;
      const told = durationQuantile(sum!.durations, share)!;
      t.ok(Math.abs(told - is) / is < 0.2, `${share}: ${told} for ${is}`);
    }
    t.equal(durationQuantile(new Array(durationBuckets).fill(0), 0.5), null);
  },
);

t.test('the busiest hosts are among those that are told, whatever else is asked for', async (t) => {
  const hosts = createBusiestHosts(50);
  for (let i = 0; i < 20_000; i += 1) {
    hosts.count(`host-${i % 5}`, i % 10 === 0);
    hosts.count(`once-${i}`, false);
  }
  const top = hosts.top(5);
  t.same(new Set(top.map(([host]) => host)), new Set([0, 1, 2, 3, 4].map((i) => `host-${i}`)));
  for (const [, requests] of top) t.ok(requests >= 4_000);
  t.equal(hosts.top(1_000).length, 50, 'and there are never more than there is room for');
});

t.test('what is to be hidden of addresses and queries is', async (t) => {
  t.equal(hideAddress('203.0.113.77', 'truncated'), '203.0.113.0');
  t.equal(hideAddress('::ffff:203.0.113.77', 'truncated'), '203.0.113.0');
  t.equal(hideAddress('2001:db8:1:2:3:4:5:6', 'truncated'), '2001:db8:1::');
  t.equal(hideAddress('2001:db8::6', 'truncated'), '2001:db8:0::');
  t.equal(hideAddress('2001:db8::6', 'hidden'), undefined);
  t.equal(hideAddress('2001:db8::6', 'full'), '2001:db8::6');
  t.equal(hideQuery('/a?b=1&c=2&d', 'truncated'), '/a?b=&c=&d');
  t.equal(hideQuery('/a?b=1', 'hidden'), '/a');
  t.equal(hideQuery('/a?b=1', 'full'), '/a?b=1');
});
