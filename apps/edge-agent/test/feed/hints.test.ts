import { once } from 'node:events';
import { createBoundary, type Hint } from '@lockstep/contract';
import { createSqliteStore } from '@lockstep/store';
import { waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t from 'tap';
import { createParentFeed } from '../../src/feed/parent-feed.ts';
import { serveFeed } from '../../src/feed/serve-feed.ts';
import { createStoreFeed } from '../../src/feed/store-feed.ts';
import { createChannel } from './create-channel.ts';

t.test('hints pass between a child process and the store, both ways, while they are watched', async (t) => {
  const store = createSqliteStore({ path: ':memory:' });
  await store.open({ create: true, expectedEpoch: null });
  t.teardown(() => store.close());
  const { parent, child } = createChannel();
  const stop = serveFeed(parent, createStoreFeed(store), pino({ level: 'silent' }));
  const feed = createParentFeed(child, createBoundary(pino({ level: 'silent' })));

  const ask: Hint = { hint: 'ask', host: 'a.example.com', node: 'edge-1' };
  const verdict: Hint = { hint: 'verdict', host: 'a.example.com', allowed: false, until: 5 };
  const atStore: Hint[] = [];
  store.watchHints((hint) => atStore.push(hint));
  await feed.sendHint(verdict);
  await feed.sendHint(ask);
  await waitFor(() => atStore.length === 1, { what: 'the ask at the store' });
  t.same(atStore, [ask], 'a child gives no verdicts');

  const heard: Hint[] = [];
  const unwatch = feed.watchHints((hint) => heard.push(hint));
  await once(parent, 'message');
  await store.sendHint(verdict);
  await waitFor(() => heard.length === 1, { what: 'the verdict at the child' });
  t.same(heard, [verdict]);

  unwatch();
  await once(parent, 'message');
  let sent = 0;
  child.on('message', () => {
    sent += 1;
  });
  await store.sendHint(verdict);
  await new Promise(setImmediate);
  t.equal(sent, 0, 'nothing crosses the channel for nobody');

  feed.watchHints(() => {});
  await once(parent, 'message');
  stop();
  await store.sendHint(verdict);
  await new Promise(setImmediate);
  t.equal(sent, 0);
  await feed.close();
});
