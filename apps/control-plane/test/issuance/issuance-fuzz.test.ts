import { AppError, isAppError, orderLanes } from '@lockstep/contract';
import { AcmeProblem } from '@lockstep/pki';
import t, { type Test } from 'tap';
import { laneOf } from '../../src/orders/order-record.ts';
import { byAdmin } from '../by-admin.ts';
import { caNames, createWorld, type World } from './fuzz/world.ts';

// A run that fails comes again with FUZZ_SEED=<seed>; FUZZ_SEEDS=<count> tries more of them.
const given = process.env.FUZZ_SEED;
const count = Number(process.env.FUZZ_SEEDS ?? 8);
const seeds = given === undefined ? Array.from({ length: count }, (_, index) => index + 1) : [Number(given)];

const hosts = ['good-1', 'good-2', 'good-3', 'good-4', 'bad-1', 'bad-2'].map((name) => `${name}.example.com`);
const isBad = (host: string) => host.startsWith('bad');
const steps = 1_500;
const dayMs = 86_400_000;

for (const seed of seeds) {
  t.test(
    `seed ${seed}: faults at every await leave no two leases, no worse certificate, no host without a next date`,
    (t) => fuzz(t, seed),
  );
}

async function fuzz(t: Test, seed: number): Promise<void> {
  const random = Math.random;
  const world = await createWorld(seed, hosts, isBad);
  Math.random = world.random.next; // jitter is part of the run
  t.teardown(async () => {
    Math.random = random;
    await world.close();
  });
  let kills = 0;
  for (let step = 0; step < steps; step += 1) kills += await act(world);
  await heal(world);

  t.strictSame(world.broken, [], 'no lease was held twice, no certificate replaced by a worse one');
  for (const [name, { unanswerable }] of world.cas)
    t.strictSame(unanswerable, [], `${name} was told to validate only what every edge answers`);
  for (const host of hosts) {
    const order = await world.store.get('order', host);
    const certificate = await world.store.get('certificate', host);
    t.ok(order?.value.dueAt, `${host} has a next date`);
    const queue = await world.store.listDue(
      'order',
      world.clock.now() + 400 * dayMs,
      100,
      orderLanes[laneOf(order!.value)],
    );
    t.ok(
      queue.some(({ id }) => id === host),
      `${host} waits in the queue of its state`,
    );
    if (isBad(host)) {
      t.equal(certificate, null, `${host} is not served`);
      t.not(laneOf(order!.value), 'first', `${host} failed, and delays no first attempt`);
    } else t.ok(Date.parse(certificate?.value.notAfter ?? '') > world.clock.now(), `${host} is served`);
  }
  const challenges = await world.store.list('challenge', { limit: 100 });
  const placed = new Set<string | null>();
  for (const host of hosts) placed.add((await world.store.get('order', host))?.value.challengeId ?? null);
  t.ok(
    challenges.items.every(({ id }) => placed.has(id)),
    'no challenge is left of an order that is over',
  );
  t.comment(
    `${kills} control planes killed, ${[...world.cas.values()].map(({ orders }) => orders.length)} orders`,
  );
}

/** One thing that happens: mostly an await that goes on; now and then trouble. The number of control planes killed. */
async function act(world: World): Promise<number> {
  const { random, scheduler, clock, controlPlanes, routes } = world;
  const roll = random.next();
  if (roll < 0.06) {
    const due = await world.dueOrders();
    if (due.length > 0 && scheduler.active < 6) {
      const { id } = random.pick(due);
      const { runner } = random.pick(controlPlanes);
      scheduler.start(() => runner.run(id, new AbortController().signal));
    }
  } else if (roll < 0.08) {
    clock.advance(random.chance(0.5) ? random.below(20_000) : random.below(3 * 3_600_000));
  } else if (roll < 0.082) {
    clock.advance(random.below(40 * dayMs));
  } else if (roll < 0.085) {
    const ca = random.pick([...world.cas.values()]);
    ca.down = !ca.down;
  } else if (roll < 0.09) {
    const host = random.pick(hosts);
    // By an operator at another place: what it changes is under nobody's lease.
    await routes.patch(byAdmin, host, {}).catch(ignoreConflict);
  } else if (roll < 0.092) {
    const host = random.pick(hosts);
    await routes.remove(byAdmin, host).catch(ignoreConflict);
    if (random.chance(0.3)) clock.advance(2 * 3_600_000);
    if (random.chance(0.7)) await world.name(host);
  } else if (roll < 0.0925) {
    // Its orders under way stay, and have nobody who knows how to go on.
    const name = random.pick(caNames);
    if (!world.gone.delete(name)) world.gone.add(name);
  } else if (roll < 0.0935) {
    const issuers = random.chance(0.3) ? null : caNames.filter(() => random.chance(0.6));
    const host = random.pick(hosts);
    if (issuers?.length !== 0) await routes.patch(byAdmin, host, { issuers }).catch(ignoreConflict);
  } else if (roll < 0.095) {
    const index = random.below(controlPlanes.length);
    const victim = controlPlanes[index]!;
    victim.dead = true;
    controlPlanes[index] = world.createControlPlane(victim.name);
    return 1;
  } else if (roll < 0.1) {
    random.pick(controlPlanes).pausedUntil = scheduler.steps + random.below(60);
  } else {
    await scheduler.step(({ label }) => (random.chance(0.03) ? faultAt(label, random) : null));
  }
  return 0;
}

const acme = 'urn:ietf:params:acme:error:';
const refusals = [
  { status: null, detail: 'connection reset' },
  { status: 500, type: `${acme}serverInternal`, detail: 'out of order' },
  { status: 503, detail: 'busy', retryAfterMs: 30_000 },
  { status: 429, type: `${acme}rateLimited`, detail: 'too many', retryAfterMs: 120_000 },
  { status: 400, type: `${acme}rejectedIdentifier`, detail: 'not this name' },
  { status: 403, type: `${acme}orderNotReady`, detail: 'not now' },
  { status: 404, type: `${acme}malformed`, detail: 'no such order' },
];

function faultAt(label: string, { pick }: World['random']): Error | null {
  if (label === 'wait' || label === 'fleet.applied') return null;
  return /newOrder|getOrder|getAuthorization|completeChallenge|finalize|getCertificate/.test(label)
    ? new AcmeProblem(pick(refusals))
    : new AppError('store_unavailable', 'the store cannot be reached');
}

/** All trouble ends: whatever is due is taken up until every good host is served and nothing is under way. */
async function heal(world: World): Promise<void> {
  const { scheduler, clock, controlPlanes, cas } = world;
  for (const ca of cas.values()) ca.down = false;
  world.gone.clear();
  for (const controlPlane of controlPlanes) controlPlane.pausedUntil = 0;
  const drain = async () => {
    while (await scheduler.step(() => null));
    await scheduler.settle();
  };
  await drain();
  for (const host of hosts) await world.name(host); // those that were taken out, too
  for (let round = 0; round < 400; round += 1) {
    const due = await world.dueOrders();
    for (const { id } of due) {
      scheduler.start(() => controlPlanes[0]!.runner.run(id, new AbortController().signal));
      await drain();
    }
    if (due.length === 0 && (await isQuiet(world))) return;
    clock.advance(due.length === 0 ? 60_000 : 2_000);
  }
}

async function isQuiet({ store, clock }: World): Promise<boolean> {
  const all = await Promise.all(
    hosts.map(async (host) => {
      const [order, certificate] = [await store.get('order', host), await store.get('certificate', host)];
      if (order?.value.step !== 'idle') return false;
      return isBad(host) || Date.parse(certificate?.value.notAfter ?? '') > clock.now();
    }),
  );
  return all.every(Boolean);
}

/** Two at once over one route: the other one won. */
function ignoreConflict(error: unknown): void {
  if (!isAppError(error, 'revision_conflict') && !isAppError(error, 'not_found')) throw error;
}
