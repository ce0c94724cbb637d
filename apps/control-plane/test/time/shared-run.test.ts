import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import t from 'tap';
import { createTurnRun } from '../../src/time/shared-run.ts';

t.test(
  'whoever asks in one turn of the loop shares a run, and whoever asks later does not wait for it',
  async (t) => {
    const ends: ((run: number) => void)[] = [];
    const run = createTurnRun(() => new Promise<number>((resolve) => ends.push(resolve)));
    const first = [run(), run()];
    t.equal(ends.length, 0, 'it begins after the last who asks');
    await turnOfTheLoop();
    t.equal(ends.length, 1);
    const later = run();
    await turnOfTheLoop();
    t.equal(ends.length, 2, 'beside the one under way');
    ends[1]?.(2);
    ends[0]?.(1);
    t.same(await Promise.all([...first, later]), [1, 1, 2]);
  },
);
