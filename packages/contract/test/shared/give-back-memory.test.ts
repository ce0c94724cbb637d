import { mock } from 'node:test';
import t, { type Test } from 'tap';
import { collectEverything, giveBackMemory, type MemoryFigures } from '../../src/shared/give-back-memory.ts';
import { trimMalloc } from '../../src/shared/trim-malloc.ts';

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

const megabyte = 1_000_000;

/** The same of a process whose memory is as it is told to be; tells what was done of late. */
function processOf(t: Test, memory: MemoryFigures): (usedMs: number, periods?: number) => string[] {
  mock.timers.enable({ apis: ['setInterval'] });
  t.teardown(() => mock.timers.reset());
  let cpuMs = 5_000;
  let done: string[] = [];
  giveBackMemory({
    cpuMs: () => cpuMs,
    figures: () => memory,
    collect: () => done.push('collect'),
    trim: () => done.push('trim'),
  });
  return (usedMs, periods = 1) => {
    done = [];
    for (let period = 0; period < periods; period += 1) {
      cpuMs += usedMs;
      mock.timers.tick(2_000);
    }
    return done;
  };
}

t.test('a heap that a crowd made large is collected; one that is large without garbage is not', async (t) => {
  const memory = { usedHeapBytes: 20 * megabyte, besideHeapBytes: null };
  const pass = processOf(t, memory);
  t.same(pass(1), []);
  memory.usedHeapBytes = 200 * megabyte;
  t.same(pass(1_900, 5), [], 'a crowd comes, and goes');
  t.same(pass(1, 30), ['collect', 'trim'], 'its garbage counts as used');
  t.same(pass(1_900, 5), [], 'the heap is as large as before: that was no garbage');
  t.same(pass(1, 30), ['trim']);
});

t.test('a process that is never quiet gives back what has lain idle for a minute', async (t) => {
  const memory: MemoryFigures = { usedHeapBytes: 20 * megabyte, besideHeapBytes: 80 * megabyte };
  const pass = processOf(t, memory);
  t.same(pass(400, 100), []);
  memory.besideHeapBytes = 300 * megabyte;
  t.same(pass(400, 29), []);
  memory.besideHeapBytes = 100 * megabyte;
  t.same(pass(400, 1), [], 'it is in use now and then');
  memory.besideHeapBytes = 300 * megabyte;
  t.same(pass(400, 29), []);
  t.same(pass(400, 1), ['trim']);
  t.same(pass(400, 59), [], 'nothing came of it');
  t.same(pass(400, 1), ['trim']);
  memory.besideHeapBytes = null;
  t.same(pass(400, 200), [], 'nor is anything done that nobody can know');
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

t.test(
  'what the C library holds free is given back, though what lives lies between',
  { skip: process.platform !== 'linux' && 'glibc alone can be asked to' },
  async (t) => {
    const kept: Buffer[] = [];
    let crowd: Buffer[] | null = [];
    for (let index = 0; index < 2_500; index += 1) {
      crowd.push(Buffer.allocUnsafeSlow(40_000).fill(1));
      if (index % 25 === 0) kept.push(Buffer.allocUnsafeSlow(9_000).fill(1));
    }
    const grown = process.memoryUsage.rss();
    t.equal(crowd.length, 2_500);
    crowd = null;
    collectEverything();
    trimMalloc();
    t.ok(process.memoryUsage.rss() < grown - 60_000_000);
    t.equal(kept.length, 100);
  },
);
