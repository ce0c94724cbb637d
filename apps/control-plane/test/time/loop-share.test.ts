import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import t from 'tap';
import { createLoopShare, type Lane } from '../../src/time/loop-share.ts';

function busy(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

t.test('work that takes the processor is spread over turns of the event loop, in its order', async (t) => {
  const share = createLoopShare({ turnMs: 5 });
  const events: (number | 'loop')[] = [];
  let done = false;
  const watch = (async () => {
    while (!done) {
      await turnOfTheLoop();
      events.push('loop');
    }
  })();
  await Promise.all(
    Array.from({ length: 12 }, async (_, index) => {
      await share.turn('orders');
      busy(3);
      await null;
      events.push(index);
    }),
  );
  done = true;
  await watch;
  t.same(
    events.filter((event) => event !== 'loop'),
    Array.from({ length: 12 }, (_, index) => index),
  );
  let row = 0;
  let longest = 0;
  for (const event of events) {
    row = event === 'loop' ? 0 : row + 1;
    longest = Math.max(longest, row);
  }
  t.ok(longest <= 2, `${longest} in one turn`);
});

t.test('what somebody waits for goes before all that was there before it', async (t) => {
  const share = createLoopShare({ turnMs: 5 });
  const events: string[] = [];
  const work = async (name: string, lane: Lane) => {
    await share.turn(lane);
    events.push(name);
    busy(6);
  };
  await Promise.all([
    work('one', 'orders'),
    work('two', 'orders'),
    work('three', 'orders'),
    work('waited', 'waited'),
  ]);
  t.same(events, ['waited', 'one', 'two', 'three']);
});

t.test('a hundred short pieces of work do not take a hundred turns', async (t) => {
  const share = createLoopShare({ turnMs: 1_000 });
  let turns = 0;
  let done = false;
  const watch = (async () => {
    for (; !done; turns += 1) await turnOfTheLoop();
  })();
  await Promise.all(Array.from({ length: 100 }, () => share.turn('requests')));
  done = true;
  await watch;
  t.ok(turns <= 3, `${turns} turns`);
});

t.test('while somebody waits for other work, the rest goes on one by one, and lets that pass', async (t) => {
  let hurry = true;
  const share = createLoopShare({ turnMs: 1_000, hurry: () => hurry });
  const events: string[] = [];
  const work = async (name: string, lane: Lane) => {
    await share.turn(lane);
    events.push(name);
  };
  const all = [work('one', 'orders'), work('two', 'orders'), work('three', 'orders')];
  await all[0];
  all.push(work('waited', 'waited'));
  await all[3];
  t.same(events, ['one', 'waited'], 'what somebody waits for waits for no pause');
  await Promise.all(all);
  t.same(events, ['one', 'waited', 'two', 'three']);
  hurry = false;
  await Promise.all(Array.from({ length: 50 }, (_, index) => work(String(index), 'orders')));
  t.equal(events.length, 54);
});

t.test('requests and orders take turns, however many there are of one', async (t) => {
  const share = createLoopShare({ turnMs: 1_000 });
  const events: string[] = [];
  const work = async (name: string, lane: Lane) => {
    await share.turn(lane);
    events.push(name);
  };
  await Promise.all([
    ...['a', 'b', 'c', 'd'].map((name) => work(name, 'orders')),
    ...['1', '2'].map((name) => work(name, 'requests')),
  ]);
  t.same(events, ['1', 'a', '2', 'b', 'c', 'd']);
});
