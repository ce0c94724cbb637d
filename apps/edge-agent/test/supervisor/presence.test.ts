import { createBoundary, type NodeReport, type Position } from '@lockstep/contract';
import { waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { createPresence } from '../../src/supervisor/presence.ts';

const log = pino({ level: 'silent' });
const at = (number: number, epoch = 'e'): Position => ({ epoch, number, commitId: `c${number}` });

/** A presence that has reported revision 1, the last that had something for it. */
async function start(t: Test, options: { passingMs?: number } = {}) {
  const edge = { applied: at(1) as Position | null, concerned: 1, ready: 1 };
  const reports: NodeReport[] = [];
  const presence = createPresence({
    feed: {
      async report(report) {
        reports.push(report);
      },
      async leave() {},
    },
    makeReport: () =>
      ({
        node: 'n',
        instance: 'i',
        applied: edge.applied,
        workers: { ready: edge.ready, of: 1 },
      }) as NodeReport,
    nothingSince: ({ number }) => edge.concerned <= number,
    log,
    boundary: createBoundary(log),
    onFatal: t.fail,
    ...options,
  });
  t.teardown(() => presence.leave({ returns: false }));
  presence.start();
  await waitFor(() => reports.length === 1, { what: 'the first report' });
  const told = () => reports.map(({ applied }) => applied?.number ?? null);
  /** As far as it reports by itself: what is not sent now waits for its time. */
  async function apply(applied: Position | null): Promise<void> {
    edge.applied = applied;
    presence.changed();
    await new Promise(setImmediate);
  }
  return { edge, presence, reports, told, apply };
}

t.test(
  'commits with nothing for the edge are told with the next that has something, which is told at once',
  async (t) => {
    const { edge, told, apply } = await start(t, { passingMs: 60_000 });
    for (const number of [2, 3, 4]) await apply(at(number));
    t.same(told(), [1]);
    edge.concerned = 5;
    await apply(at(5));
    t.same(told(), [1, 5]);
    // The workers are behind what is known to come.
    await apply(at(6));
    edge.concerned = 8;
    await apply(at(7));
    t.same(told(), [1, 5, 7]);
  },
);

t.test('they are told soon where nothing else is, however many follow', async (t) => {
  const { told, apply } = await start(t);
  let number = 1;
  await waitFor(
    async () => {
      number += 1;
      await apply(at(number));
      return told().length > 1;
    },
    { what: 'a report', intervalMs: 10 },
  );
  t.ok(told().at(-1)! > 2, 'several at once');
  await apply(at(number + 1));
  await waitFor(() => told().at(-1) === number + 1, { what: 'the last of them' });
});

t.test(
  'all else is told at once: another history, the way back, and what the edge says beside',
  async (t) => {
    const { edge, presence, told, apply } = await start(t, { passingMs: 60_000 });
    await apply(at(2));
    edge.ready = 0;
    presence.changed();
    await new Promise(setImmediate);
    t.same(told(), [1, 2]);
    await apply(at(1));
    await apply(null);
    await apply(at(2));
    await apply({ ...at(2), commitId: 'other' });
    await apply(at(3, 'f'));
    t.same(told(), [1, 2, 1, null, 2, 2, 3]);
  },
);
