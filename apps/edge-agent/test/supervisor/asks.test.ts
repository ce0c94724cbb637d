import { createBoundary, type EdgeOnDemand, type Hint } from '@lockstep/contract';
import { createSqliteStore } from '@lockstep/store';
import { waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import type { Asker } from '../../src/engine/engine.ts';
import { createStoreFeed } from '../../src/feed/store-feed.ts';
import { type AskOutcome, createAsks } from '../../src/supervisor/asks.ts';

const log = pino({ level: 'silent' });
const generous = { perClientPerMinute: 1_000, totalPerMinute: 1_000 };

async function startAsks(t: Test, limits: Partial<EdgeOnDemand> = {}) {
  const store = createSqliteStore({ path: ':memory:' });
  await store.open({ create: true, expectedEpoch: null });
  const sent: string[] = [];
  store.watchHints((hint) => {
    if (hint.hint === 'ask' && hint.node === 'edge-1') sent.push(hint.host);
  });
  const outcomes: AskOutcome[] = [];
  const clock = { now: 1_000_000 };
  const onDemand = { ...generous, ...limits } as EdgeOnDemand;
  const asks = createAsks({
    node: 'edge-1',
    feed: createStoreFeed(store),
    onDemand: () => onDemand,
    log,
    boundary: createBoundary(log),
    onOutcome: (outcome) => outcomes.push(outcome),
    now: () => clock.now,
  });
  t.teardown(async () => {
    asks.close();
    await store.close();
  });
  const verdict = (host: string, allowed: boolean, until = clock.now + 60_000) =>
    store.sendHint({ hint: 'verdict', host, allowed, until } satisfies Hint);
  return { asks, sent, outcomes, clock, onDemand, verdict };
}

function createAsker() {
  const refused: string[] = [];
  const asker: Asker = { refuse: (host, client) => refused.push(`${host} ${client ?? 'all'}`) };
  return { asker, refused };
}

t.test(
  'a host is asked about once for all workers and clients, and again each second while any waits',
  async (t) => {
    const { asks, sent, outcomes } = await startAsks(t);
    const one = createAsker();
    const two = createAsker();
    asks.ask(one.asker, 'a', '1.1.1.1');
    asks.ask(one.asker, 'a', '2.2.2.2');
    asks.ask(two.asker, 'a', '1.1.1.1');
    t.same(sent, ['a']);
    asks.enough(one.asker, 'a');
    await waitFor(() => sent.length === 2, { what: 'it to be asked again' });
    asks.gone(two.asker);
    t.same(outcomes, ['unanswered']);
    asks.ask(one.asker, 'a', '1.1.1.1');
    t.same(sent, ['a', 'a', 'a'], 'anew for those who come later');
  },
);

t.test('a refusal reaches all who wait, and is remembered until it ends', async (t) => {
  const { asks, sent, outcomes, verdict, clock } = await startAsks(t);
  const one = createAsker();
  const two = createAsker();
  asks.ask(one.asker, 'a', '1.1.1.1');
  asks.ask(two.asker, 'a', '2.2.2.2');
  asks.ask(two.asker, 'b', '2.2.2.2');
  await verdict('a', false);
  t.same(one.refused, ['a all']);
  t.same(two.refused, ['a all']);
  asks.ask(one.asker, 'a', '3.3.3.3');
  t.same(one.refused, ['a all', 'a all']);
  t.same(sent, ['a', 'b']);
  t.same(outcomes, ['refused', 'refused_before']);
  clock.now += 60_001;
  asks.ask(one.asker, 'a', '3.3.3.3');
  t.same(sent, ['a', 'b', 'a']);
  await verdict('a', true);
  await verdict('a', true);
  t.equal(one.refused.length, 2, 'the certificate is waited for');
  asks.enough(one.asker, 'a');
  t.same(outcomes, ['refused', 'refused_before', 'allowed']);
});

t.test('what another endpoint refused is asked about again', async (t) => {
  const { asks, sent, verdict, onDemand } = await startAsks(t, { askDigest: 'one' });
  const { asker, refused } = createAsker();
  asks.ask(asker, 'a', '1.1.1.1');
  await verdict('a', false);
  asks.ask(asker, 'a', '1.1.1.1');
  t.same(sent, ['a']);
  onDemand.askDigest = 'two';
  asks.ask(asker, 'a', '1.1.1.1');
  t.same(sent, ['a', 'a']);
  await verdict('a', false);
  asks.ask(asker, 'a', '1.1.1.1');
  t.same(sent, ['a', 'a']);
  t.equal(refused.length, 4);
});

t.test('a later word that a host is allowed ends the memory of its refusal', async (t) => {
  const { asks, sent, verdict } = await startAsks(t);
  await verdict('a', false);
  await verdict('a', true);
  asks.ask(createAsker().asker, 'a', '1.1.1.1');
  t.same(sent, ['a']);
});

t.test(
  'a client asks for no more new names a minute than it may; joining others costs nothing',
  async (t) => {
    const { asks, sent, outcomes, clock } = await startAsks(t, { perClientPerMinute: 2 });
    const { asker, refused } = createAsker();
    for (const host of ['a', 'b', 'c']) asks.ask(asker, host, '1.1.1.1');
    t.same(sent, ['a', 'b']);
    t.same(refused, ['c 1.1.1.1']);
    t.same(outcomes, ['limited']);
    asks.ask(asker, 'c', '2.2.2.2');
    asks.ask(asker, 'c', '1.1.1.1');
    t.same(sent, ['a', 'b', 'c']);
    t.equal(refused.length, 1);
    clock.now += 30_000;
    asks.ask(asker, 'd', '1.1.1.1');
    asks.ask(asker, 'e', '1.1.1.1');
    t.same(sent, ['a', 'b', 'c', 'd'], 'half a minute gives one of two back');
  },
);

t.test('the edge asks for no more new names a minute than it may', async (t) => {
  const { asks, sent, outcomes, clock } = await startAsks(t, { totalPerMinute: 2, perClientPerMinute: 2 });
  const { asker } = createAsker();
  for (const [i, host] of ['a', 'b', 'c', 'd', 'e'].entries()) asks.ask(asker, host, `1.1.1.${i}`);
  t.same(sent, ['a', 'b']);
  t.same(outcomes, ['limited', 'limited', 'limited']);
  clock.now += 60_000;
  for (const host of ['f', 'g']) asks.ask(asker, host, '1.1.1.4');
  t.same(sent, ['a', 'b', 'f', 'g'], 'what was refused is not counted against its client');
});
