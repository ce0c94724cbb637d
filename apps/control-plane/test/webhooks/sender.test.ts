import { createBoundary, type EventDraft } from '@lockstep/contract';
import { createSealers, generateSecretKey } from '@lockstep/pki';
import { createSqliteStore } from '@lockstep/store';
import { waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t from 'tap';
import { createChangeHub } from '../../src/changes/change-hub.ts';
import { commit } from '../../src/changes/writes.ts';
import { createEventHistory } from '../../src/events/event-history.ts';
import { iso } from '../../src/time/iso.ts';
import { createDeliver } from '../../src/webhooks/deliver.ts';
import { createRedelivery } from '../../src/webhooks/redelivery.ts';
import { retryAfterMs } from '../../src/webhooks/retry-times.ts';
import { createSender } from '../../src/webhooks/sender.ts';
import { createWebhookService, type WebhookService } from '../../src/webhooks/webhook-service.ts';
import { byAdmin } from '../by-admin.ts';
import { startTarget } from './start-target.ts';

const log = pino({ level: 'silent' });

/** Two control planes' senders over one store, and a target. */
async function start(test: Pick<typeof t, 'teardown'>) {
  const clock = { now: Date.parse('2026-11-26T00:00:00Z') };
  const now = () => clock.now;
  const store = createSqliteStore({ path: ':memory:', now });
  await store.open({ create: true, expectedEpoch: null });
  const hub = await createChangeHub({ store, log });
  const history = createEventHistory({ store, hub, log });
  const sealer = createSealers(generateSecretKey()).controlPlanes;
  const deliver = createDeliver({ fetch, sealer, plainAllowed: () => true, userAgent: 'test' });
  const boundary = createBoundary(log);
  const senders = [1, 2].map(() =>
    createSender({ store, hub, history, deliver, boundary, log, now, random: () => 0, lookMs: 20 }),
  );
  test.teardown(async () => {
    for (const { close } of senders) await close();
    history.close();
    await hub.close();
    await store.close();
  });
  const service = createWebhookService({
    store,
    sealer,
    targets: { check: () => {} },
    plainAllowed: () => true,
    now,
  });
  const redelivery = createRedelivery({ store, history, deliver, wake: () => senders[0]?.wake(), now });
  const hook = await startTarget(test);
  const { id } = await service.make(byAdmin, { url: hook.url });
  let made = 0;
  async function tell(route: string, more: Partial<EventDraft> = {}): Promise<void> {
    await tellAll([route], more);
  }
  /** In one commit. */
  async function tellAll(routes: string[], more: Partial<EventDraft> = {}): Promise<void> {
    const events = routes.map((route): EventDraft => {
      made += 1;
      return {
        type: 'route.updated',
        subject: { kind: 'route', id: route },
        data: { routes: [route], made },
        ...more,
      };
    });
    const change = { op: 'put', kind: 'told', id: 'test', value: { state: 'x', mark: '' } } as const;
    await commit(store, { ...byAdmin, changes: [change], events });
  }
  /** The routes whose events the target refuses. */
  const refused = new Set<string>();
  hook.target.answer = (body) => (refused.has(JSON.parse(body).data.routes?.[0]) ? 422 : null);
  const came = () =>
    hook.received.map(({ body }) => {
      const { routes, made } = JSON.parse(body).data;
      return [routes?.[0], made];
    });
  const ofRoute = (route: string) => came().flatMap(([one, number]) => (one === route ? [number] : []));
  const status = async () => (await service.view(id)).status;
  /** Until what can be sent was tried. */
  async function allTried(): Promise<void> {
    const waits = async () => ((await status()).nextAttemptAt ?? '') > iso(clock.now);
    await waitFor(waits, { what: 'what can be sent to be tried', progress: () => hook.target.asked });
  }
  /** Lets the time come at which the next try is. */
  async function nextTry(): Promise<void> {
    await allTried();
    const { nextAttemptAt } = await status();
    const { asked } = hook.target;
    clock.now = Date.parse(nextAttemptAt!);
    await hook.until(() => hook.target.asked > asked);
    const written = async () =>
      (await status()).nextAttemptAt !== nextAttemptAt || !(await service.view(id)).enabled;
    await waitFor(written, { what: 'it to be written down' });
  }
  return {
    clock,
    store,
    hub,
    service,
    redelivery,
    senders,
    hook,
    id,
    tell,
    tellAll,
    allTried,
    refused,
    ofRoute,
    status,
    nextTry,
  };
}

t.test('a route whose event is refused waits by itself: those of others are sent on', async (t) => {
  const { hook, tell, refused, ofRoute, status, nextTry, redelivery, id } = await start(t);
  refused.add('a');
  for (let round = 0; round < 30; round += 1) for (const route of ['a', 'b', 'c']) await tell(route);
  await hook.until(() => hook.received.length === 60);
  t.same(
    ofRoute('b'),
    ofRoute('b').toSorted((one, other) => one - other),
  );
  t.same(ofRoute('a'), []);
  await waitFor(async () => (await status()).waiting[0]?.attempts === 2, {
    what: 'it to wait, tried once more when the target took another',
  });
  t.match(await status(), { failingSince: null, waitingSubjects: 1, waiting: [{ subject: { id: 'a' } }] });
  t.match((await redelivery.list(id, { limit: 1, outcome: 'refused' })).items, [
    { ok: false, status: 422, subject: { id: 'a' }, attempt: 2 },
  ]);
  refused.clear();
  await nextTry();
  await hook.until(() => hook.received.length === 90);
  t.same(
    ofRoute('a'),
    Array.from({ length: 30 }, (_, round) => round * 3 + 1),
    'all of it, in order',
  );
  await waitFor(async () => (await status()).waitingSubjects === 0, { what: 'nothing to wait' });
});

t.test(
  'of a route that is refused more waits than is at hand, and it gets all of it in the end',
  async (t) => {
    const { store, hook, tellAll, allTried, refused, ofRoute, status, nextTry, id } = await start(t);
    refused.add('a');
    await tellAll(Array.from({ length: 260 }, (_, index) => (index % 2 === 0 ? 'a' : 'b')));
    await hook.until(() => hook.received.length === 130);
    await waitFor(async () => (await status()).waiting[0]?.attempts === 2, { what: 'it to wait' });
    await allTried();
    const state = (await store.get('webhook-state', id))!;
    t.equal(state.value.subjects[0]?.events.length, 10);
    t.ok(JSON.stringify(state.value).length < 1_000, 'what is written of it is bounded');
    refused.clear();
    await nextTry();
    await hook.until(() => hook.received.length === 260);
    t.same(
      ofRoute('a'),
      Array.from({ length: 130 }, (_, round) => round * 2 + 1),
    );
  },
);

t.test('what a certificate tells of goes in line with the route that alone has it', async (t) => {
  const { hook, tell, refused, ofRoute, nextTry } = await start(t);
  refused.add('a');
  await tell('a');
  await hook.until(() => hook.target.asked === 1);
  const subject = { kind: 'certificate', id: 'a.example' } as const;
  await tell('a', { type: 'certificate.issued', subject, data: { routes: ['a'], made: 2 } });
  await tell('b', { type: 'certificate.issued', subject, data: { routes: ['b', 'a'], made: 3 } });
  await hook.until(() => hook.received.length === 1);
  refused.clear();
  await nextTry();
  await hook.until(() => hook.received.length === 3);
  t.same(ofRoute('a'), [1, 2]);
});

t.test(
  'a target that was away for hours gets everything, in order for each route, by one of two control planes',
  async (t) => {
    const { clock, hook, tell, ofRoute, status, nextTry } = await start(t);
    hook.target.status = 503;
    for (const route of ['a', 'b', 'a']) await tell(route);
    await hook.until(() => hook.target.asked === 2);
    await waitFor(async () => (await status()).waitingSubjects === 2, { what: 'both to wait' });
    const since = clock.now;
    for (const waitMs of retryAfterMs.slice(0, 5)) {
      const { nextAttemptAt, failingSince } = await status();
      t.equal(Date.parse(failingSince!), since);
      t.ok(Date.parse(nextAttemptAt!) - since >= waitMs);
      await nextTry();
      await waitFor(
        async () => (await status()).waiting.every((one) => one.nextAttemptAt! > iso(clock.now)),
        {
          what: 'both to be tried',
        },
      );
      await tell('b');
    }
    hook.target.status = 200;
    await nextTry();
    await hook.until(() => hook.received.length === 8);
    t.same(ofRoute('a'), [1, 3]);
    t.same(ofRoute('b'), [2, 4, 5, 6, 7, 8]);
    await waitFor(async () => (await status()).failingSince === null, { what: 'it to be well' });
    t.match(await status(), { waitingSubjects: 0, takenAt: iso(clock.now), nextAttemptAt: null });
  },
);

t.test(
  'what is refused for three days is given up, its route goes on, and it can be had again',
  async (t) => {
    const { clock, hook, tell, refused, ofRoute, status, nextTry, redelivery, service, senders, id } =
      await start(t);
    refused.add('a');
    await tell('a');
    await hook.until(() => hook.target.asked === 1);
    await tell('b');
    await hook.until(() => hook.received.length === 1);
    await waitFor(async () => (await status()).waiting[0]?.attempts === 2, { what: 'it to wait' });
    const began = clock.now;
    await tell('a');
    for (const _ of retryAfterMs.slice(2)) {
      await nextTry();
      const { length } = hook.received;
      await tell('b');
      await hook.until(() => hook.received.length > length);
    }
    refused.clear();
    hook.target.answer = (body) => (JSON.parse(body).data.made === 1 ? 422 : null);
    await nextTry();
    await hook.until(() => ofRoute('a').includes(3));
    t.ok(clock.now - began > 3 * 86_400_000);
    t.equal((await service.view(id)).enabled, true, 'it takes what else there is');
    await waitFor(async () => (await status()).waitingSubjects === 0, { what: 'nothing to wait' });
    t.match((await redelivery.list(id, { limit: 10, outcome: 'given_up' })).items, [
      { attempt: 10, status: 422, subject: { id: 'a' } },
    ]);
    t.ok(senders.some(({ counts }) => counts.given_up > 0));
    hook.target.answer = () => null;
    t.same(await redelivery.givenUp(byAdmin, id, iso(clock.now + 1)), { queued: 0 });
    t.same(await redelivery.givenUp(byAdmin, id, iso(began)), { queued: 1 });
    await hook.until(() => ofRoute('a').includes(1));
    t.match((await redelivery.list(id, { limit: 10, outcome: 'given_up' })).items, []);
  },
);

t.test('after three days in which it took nothing a webhook is disabled, and that is told', async (t) => {
  const { clock, store, service, hook, id, tell, status, nextTry, ofRoute } = await start(t);
  hook.target.status = 500;
  await tell('a');
  await waitFor(async () => (await status()).waitingSubjects === 1, { what: 'it to wait' });
  for (const _ of retryAfterMs) await nextTry();
  t.equal((await service.view(id)).enabled, false);
  t.ok(clock.now - Date.parse('2026-11-26T00:00:00Z') > 3 * 86_400_000);
  t.match((await store.readEvents({ limit: 10 })).items.at(-1), {
    type: 'webhook.disabled',
    subject: { id },
  });
  hook.target.status = 200;
  await tell('a');
  await service.patch(byAdmin, id, { enabled: true });
  await hook.until(() => ofRoute('a').length === 2);
  t.same(ofRoute('a'), [1, 2], 'nothing is lost, and it goes on in order');
});

t.test(
  'of a target that is away for long, what is written is bounded, and many routes go on at once',
  async (t) => {
    const { store, hook, tellAll, allTried, status, nextTry, id } = await start(t);
    hook.target.status = 503;
    await tellAll(Array.from({ length: 400 }, (_, number) => `r${number % 350}`));
    await allTried();
    const { waitingSubjects } = await status();
    t.ok(waitingSubjects >= 200, 'so many that no more are taken up');
    t.ok(hook.target.asked < 350);
    const { value } = (await store.get('webhook-state', id))!;
    t.ok(value.subjects.length <= 310, `${value.subjects.length} subjects`);
    hook.target.status = 200;
    await nextTry();
    await hook.until(() => hook.received.length >= 400);
    const byRoute = Map.groupBy(hook.received, ({ body }) => JSON.parse(body).subject.id);
    t.equal(byRoute.size, 350);
    for (const [route, all] of byRoute) {
      const numbers = all.map(({ body }) => JSON.parse(body).data.made);
      t.same(
        numbers,
        numbers.toSorted((one, other) => one - other),
        route,
      );
    }
  },
);

t.test('a test that is taken has all that waits tried at once', async (t) => {
  const { hook, tell, status, redelivery, ofRoute, id } = await start(t);
  hook.target.status = 503;
  for (const route of ['a', 'b', 'a']) await tell(route);
  await waitFor(async () => (await status()).waitingSubjects === 2, { what: 'both to wait' });
  t.match(await redelivery.test(byAdmin, id), { ok: false, outcome: 'refused' });
  t.equal((await status()).waitingSubjects, 2);
  hook.target.status = 200;
  hook.target.answer = () => null;
  t.match(await redelivery.test(byAdmin, id), { ok: true, type: 'webhook.test' });
  await hook.until(() => hook.received.length === 4);
  t.same([ofRoute('a'), ofRoute('b')], [[1, 3], [2]]);
});

t.test('what waits for a webhook that is for others by then is sent no more', async (t) => {
  const { service, hook, tell, status, ofRoute, id } = await start(t);
  hook.target.status = 503;
  for (const tenant of ['one', 'two', 'one']) await tell(tenant, { tenant });
  await waitFor(async () => (await status()).waitingSubjects === 2, { what: 'both to wait' });
  await service.patch(byAdmin, id, { tenant: 'two', enabled: false });
  hook.target.status = 200;
  await service.patch(byAdmin, id, { enabled: true });
  await tell('one', { tenant: 'one' });
  await tell('two', { tenant: 'two' });
  await hook.until(() => hook.received.length === 2);
  t.same([ofRoute('one'), ofRoute('two')], [[], [2, 5]]);
});

for (const [what, change] of [
  ['deleted', (service, id) => service.remove(byAdmin, id)],
  ['disabled', (service, id) => service.patch(byAdmin, id, { enabled: false })],
] as [string, (service: WebhookService, id: string) => Promise<unknown>][])
  t.test(`a webhook that is ${what} while something is on its way to it is sent nothing more`, async (t) => {
    const { hub, service, senders, hook, tell, id } = await start(t);
    const answered = Promise.withResolvers<null>();
    hook.target.answer = () => answered.promise;
    for (const route of ['a', 'a', 'b']) await tell(route);
    await waitFor(() => hook.target.asked === 2, { what: 'the first of each to be on its way' });
    const heard = Promise.withResolvers<void>();
    t.teardown(
      hub.watch((entry) => entry?.changes.some(({ kind }) => kind === 'webhook') && heard.resolve()),
    );
    await change(service, id);
    await heard.promise;
    answered.resolve(null);
    await hook.until(() => hook.received.length === 2);
    const other = await startTarget(t);
    await service.make(byAdmin, { url: other.url });
    await tell('c');
    await other.until(() => other.received.length === 1);
    for (const { close } of senders) await close();
    t.equal(hook.target.asked, 2);
  });
