import { AppError, type NodePresence, type NodeReport } from '@lockstep/contract';
import { PutSettings } from '@lockstep/contract/schemas';
import type { ConfigStore } from '@lockstep/store';
import { nodeReport } from '@lockstep/testkit';
import { pino } from 'pino';
import t from 'tap';
import { createRecentCommits } from '../../src/changes/recent-commits.ts';
import { createFleet } from '../../src/fleet/fleet.ts';
import { createTurns } from '../../src/fleet/history-turns.ts';
import { inEpoch, servedBy } from '../../src/fleet/serving.ts';

const settings = PutSettings.parse({});
/** The store does not have it. */
const straysAt = 99;
const challenge = { kind: 'challenge', id: 'token', revision: 7 } as const;

function presence(
  node: string,
  number: number,
  report: Partial<NodeReport> = {},
  rest: Partial<NodePresence> = {},
) {
  const applied = { epoch: 'e1', number, commitId: `commit ${number}` };
  const seenAt = Date.now();
  const said = nodeReport(node, { applied, ...report });
  return { report: said, seenAt, live: true, stopped: false, standing: 'on', ...rest } satisfies NodePresence;
}

/** A fleet over nodes that the test lists and announces. */
async function startFleet(test: Pick<typeof t, 'teardown'>, first: NodePresence[]) {
  let announce: (presence: NodePresence | null) => void = () => {};
  let watching = 0;
  const lists: (() => Promise<NodePresence[]>)[] = [];
  let listed = first;
  const store = {
    listNodes: async () => (await lists.shift()?.()) ?? listed,
    watchNodes(listener) {
      announce = listener;
      watching += 1;
      return () => {
        watching -= 1;
      };
    },
    forgetNode: async () => true,
    epoch: 'e1',
    standingOf: async (positions) => positions.map(({ number }) => (number === straysAt ? 'ahead' : 'on')),
  } as Partial<ConfigStore> as ConfigStore;
  const fleet = await createFleet({
    store,
    clock: { now: Date.now, skewMs: () => 0, fault: () => null, watch: () => () => {}, close: () => {} },
    settings: () => settings,
    log: pino({ level: 'silent' }),
  });
  test.teardown(() => fleet.close());
  return {
    fleet,
    announce(...presences: NodePresence[]) {
      for (const one of presences) announce(one);
    },
    /** What the next list is answered with. */
    answerNext(list: () => Promise<NodePresence[]>) {
      lists.push(list);
    },
    setListed(list: NodePresence[]) {
      listed = list;
    },
    watching: () => watching,
  };
}

t.test('a CA is told when every live node serves the challenge, those left out that cannot', async (t) => {
  const refusals = [{ kind: 'challenge', id: 'token', revision: 7, reason: 'no key' }];
  const held = { revision: { epoch: 'e1', number: 9 }, hosts: 9, removed: 8 };
  const { fleet, announce } = await startFleet(t, [
    presence('behind', 6),
    presence('held', 9, { held }),
    presence('hung', 9, { workers: { ready: 0, of: 1 } }),
    presence('lost', 6, {}, { live: false }),
    presence('refuses', 9, { refusals }),
    presence('stray', straysAt, {}, { standing: 'ahead' }),
    presence('well', 9),
  ]);
  let told: string[] | null | undefined;
  const telling = fleet.applied(challenge, new AbortController().signal).then((behind) => {
    told = behind;
  });
  announce(presence('behind', 7));
  announce(presence('hung', 9));
  await new Promise(setImmediate);
  t.equal(told, undefined, 'a node on another history is waited for');
  announce(presence('stray', 8));
  await telling;
  t.same(told, ['held', 'refuses']);
});

t.test(
  'a node is judged by the history as it is now, not as it was when the node was heard of',
  async (t) => {
    const { fleet } = await startFleet(t, [presence('edge-1', straysAt), presence('edge-2', 9)]);
    const record = { kind: 'route', id: 'shop', revision: 7 } as const;
    t.match(servedBy(fleet.view().nodes, [record], 'connected'), { live: 2, everywhere: true }, 'as it was');
    const view = await fleet.judge();
    const behind = [{ node: 'edge-1', reason: /99, which the store does not have/ }];
    t.match(servedBy(view.nodes, [record], 'connected'), { live: 1, everywhere: false, behind });
    t.match(servedBy(fleet.view().nodes, [record], 'connected'), { live: 1 }, 'and is known from then on');
    t.equal(inEpoch(view, 'e1'), view);
    t.match(
      servedBy(inEpoch(view, 'another').nodes, [record], 'connected'),
      { live: 0, everywhere: false },
      'of another history, no number tells anything',
    );
  },
);

t.test('a list that was asked for earlier does not take the place of a newer report', async (t) => {
  const { fleet, announce, answerNext } = await startFleet(t, [presence('edge-1', 6)]);
  const { promise, resolve } = Promise.withResolvers<NodePresence[]>();
  answerNext(() => promise);
  const refreshing = fleet.refresh();
  announce(presence('edge-1', 7), presence('edge-2', 7));
  resolve([presence('edge-1', 6)]);
  await refreshing;
  t.same(
    fleet.nodes().map(({ report }) => [report.node, report.applied?.number]),
    [
      ['edge-1', 7],
      ['edge-2', 7],
    ],
  );
});

t.test('of two reads of one report that end in the other order, the newer stands', async (t) => {
  const { fleet, announce } = await startFleet(t, []);
  const older = presence('edge-1', 6, {}, { seenAt: Date.now() - 100 });
  announce(presence('edge-1', 7), older);
  t.equal(fleet.nodes()[0]?.report.applied?.number, 7);
});

t.test('lists are asked for one at a time, and once more when a node went meanwhile', async (t) => {
  const { fleet, answerNext, setListed } = await startFleet(t, [presence('edge-1', 6)]);
  const { promise, resolve } = Promise.withResolvers<NodePresence[]>();
  answerNext(() => promise);
  const first = fleet.refresh();
  const second = fleet.refresh();
  setListed([]);
  resolve([presence('edge-1', 6)]);
  await Promise.all([first, second]);
  t.same(fleet.nodes(), []);
});

t.test('leaves nothing running when the nodes cannot be read at the start', async (t) => {
  let watching = 0;
  const store = {
    async listNodes() {
      throw new AppError('store_unavailable', 'away');
    },
    watchNodes() {
      watching += 1;
      return () => {
        watching -= 1;
      };
    },
  } as Partial<ConfigStore> as ConfigStore;
  let clockWatched = 0;
  const watch = () => {
    clockWatched += 1;
    return () => {
      clockWatched -= 1;
    };
  };
  const timers = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  await t.rejects(
    createFleet({
      store,
      clock: { now: Date.now, skewMs: () => 0, fault: () => null, watch, close: () => {} },
      settings: () => settings,
      log: pino({ level: 'silent' }),
    }),
    { code: 'store_unavailable' },
  );
  t.equal(watching, 0);
  t.equal(clockWatched, 0);
  t.equal(process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length, timers);
});

t.test('tells in a sentence from which revision to which the history went back', async (t) => {
  const sentences: string[] = [];
  const log = pino({}, { write: (line: string) => sentences.push(JSON.parse(line).msg) });
  const kept = { epoch: 'e1', number: 7, commitId: 'commit 7' };
  const rest = { at: 0, reason: 'restored', kept } as const;
  const store = {
    listTurns: async () => [
      { ...rest, epoch: 'e2', lost: { ...kept, number: 12 } },
      { ...rest, epoch: 'e3', lost: null },
    ],
  };
  (await createTurns({ store, commits: createRecentCommits({ now: Date.now }), log })).close();
  t.match(sentences, [/back to revision 7; 5 commits, up to 12, are gone$/, /back to revision 7; what was/]);
});
