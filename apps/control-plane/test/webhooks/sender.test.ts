import { createBoundary, type EventDraft } from '@lockstep/contract';
import { createSealers, generateSecretKey } from '@lockstep/pki';
import { createSqliteStore } from '@lockstep/store';
import { waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t from 'tap';
import { createChangeHub } from '../../src/changes/change-hub.ts';
import { commit } from '../../src/changes/writes.ts';
import { createEventHistory } from '../../src/events/event-history.ts';
import { createDeliver } from '../../src/webhooks/deliver.ts';
import { createSender, retryAfterMs } from '../../src/webhooks/sender.ts';
import { createWebhookService } from '../../src/webhooks/webhook-service.ts';
import { byAdmin } from '../by-admin.ts';
import { startTarget } from './start-target.ts';

const log = pino({ level: 'silent' });

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
    createSender({ store, history, deliver, boundary, log, now, random: () => 0, lookMs: 20 }),
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
    deliver,
    now,
  });
  const hook = await startTarget(test);
  const { id } = await service.make(byAdmin, { url: hook.url });
  let made = 0;
  async function tell(route: string): Promise<void> {
    made += 1;
    const event: EventDraft = {
      type: 'route.updated',
      subject: { kind: 'route', id: route },
      data: { routes: [route], made },
    };
    const change = { op: 'put', kind: 'told', id: 'test', value: { state: 'x', mark: '' } } as const;
    await commit(store, { ...byAdmin, changes: [change], events: [event] });
  }
  return { clock, store, service, hook, id, tell };
}

t.test(
  'a target that was away for hours gets everything, in order, by one of two control planes',
  async (t) => {
    const { clock, service, hook, id, tell } = await start(t);
    hook.target.status = 503;
    for (const route of ['a', 'b', 'a']) await tell(route);
    for (const waitMs of retryAfterMs.slice(0, 5)) {
      const { attempts } = (await service.view(id)).status;
      await waitFor(async () => (await service.view(id)).status.attempts > attempts || attempts > 0, {
        what: 'a try',
      });
      const tried = (await service.view(id)).status;
      clock.now = Date.parse(tried.nextAttemptAt!) - 1;
      t.equal((await service.view(id)).status.attempts, tried.attempts, 'not before its date');
      t.ok(Date.parse(tried.nextAttemptAt!) - Date.parse(tried.failingSince!) >= waitMs);
      await tell('b');
      clock.now += 1;
      await waitFor(async () => (await service.view(id)).status.attempts > tried.attempts, {
        what: 'another try',
      });
    }
    hook.target.status = 200;
    clock.now = Date.parse((await service.view(id)).status.nextAttemptAt!);
    await hook.until(() => hook.received.length === 8);
    t.same(
      hook.received.map(({ body }) => JSON.parse(body).data.made),
      [1, 2, 3, 4, 5, 6, 7, 8],
    );
    await waitFor(async () => (await service.view(id)).status.failingSince === null, {
      what: 'it to be well',
    });
  },
);

t.test('after three days in which it took nothing a webhook is disabled, and that is told', async (t) => {
  const { clock, store, service, hook, id, tell } = await start(t);
  hook.target.status = 500;
  await tell('a');
  for (const _ of retryAfterMs) {
    const { attempts } = (await service.view(id)).status;
    await waitFor(
      async () => (await service.view(id)).status.attempts > (attempts === 0 ? 0 : attempts - 1),
      {
        what: 'a try',
      },
    );
    const { nextAttemptAt } = (await service.view(id)).status;
    const asked = hook.target.asked;
    clock.now = Date.parse(nextAttemptAt!);
    await hook.until(() => hook.target.asked > asked);
    await waitFor(
      async () => {
        const { status, enabled } = await service.view(id);
        return !enabled || status.nextAttemptAt !== nextAttemptAt;
      },
      { what: 'it to be written down' },
    );
  }
  t.equal((await service.view(id)).enabled, false);
  t.ok(clock.now - Date.parse('2026-11-26T00:00:00Z') > 3 * 86_400_000);
  t.match((await store.readEvents({ limit: 10 })).items.at(-1), {
    type: 'webhook.disabled',
    subject: { id },
  });
});
