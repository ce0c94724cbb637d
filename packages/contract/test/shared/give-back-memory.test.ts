import { mock } from 'node:test';
import t, { type Test } from 'tap';
import { collectEverything, giveBackMemory } from '../../src/shared/give-back-memory.ts';

/** Returns what lets a period pass in which the process takes so much CPU time, and tells how often memory was given back so far. */
function startedProcess(t: Test): (usedMs: number) => number {
  mock.timers.enable({ apis: ['setInterval'] });
  t.teardown(() => mock.timers.reset());
  let cpuMs = 300;
  let collections = 0;
  giveBackMemory({
    cpuMs: () => cpuMs,
    collect: () => {
      collections += 1;
    },
  });
  return (usedMs) => {
    cpuMs += usedMs;
    mock.timers.tick(2_000);
    return collections;
  };
}

t.test(
  'memory is given back once the process has started, and again when it has been quiet for a minute after it was busy',
  async (t) => {
    const pass = startedProcess(t);
    t.equal(pass(500), 0, 'while it starts');
    t.equal(pass(1), 1, 'after its start');
    t.equal(pass(1), 1);
    t.equal(pass(1_900), 1, 'under load');
    t.equal(pass(1_900), 1, 'under load');
    for (let period = 1; period < 30; period += 1) t.equal(pass(30), 1, 'a pause in the load');
    t.equal(pass(30), 2, 'after the load');
    t.equal(pass(300), 2);
    for (let period = 1; period <= 31; period += 1) t.equal(pass(1), 2, 'too little was done since');
  },
);

t.test('a load that follows the start at once is not paid for by what follows it', async (t) => {
  const pass = startedProcess(t);
  t.equal(pass(1_900), 0);
  for (let period = 1; period < 30; period += 1) t.equal(pass(1), 0, 'a pause in the load');
  t.equal(pass(1), 1);
});

t.test('nothing is asked that fails in a process which may open no more files', async (t) => {
  mock.timers.enable({ apis: ['setInterval'] });
  mock.method(process, 'memoryUsage', () => {
    throw new Error('EMFILE');
  });
  t.teardown(() => mock.timers.reset());
  t.teardown(() => mock.restoreAll());
  let collections = 0;
  giveBackMemory({
    cpuMs: () => 300,
    collect: () => {
      collections += 1;
    },
  });
  mock.timers.tick(2_000);
  t.equal(collections, 1);
});

t.test('the heap shrinks by what a burst left behind', async (t) => {
  let burst: object[] | null = Array.from({ length: 300_000 }, (_, index) => ({ index }));
  const grown = process.memoryUsage().heapTotal;
  t.equal(burst.length, 300_000);
  burst = null;
  collectEverything();
  t.ok(process.memoryUsage().heapTotal < grown - 4_000_000);
});
