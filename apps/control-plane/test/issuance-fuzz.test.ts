import { AppError } from '@lockstep/contract';
import { AcmeProblem } from '@lockstep/pki';
import t, { type Test } from 'tap';
import { Crash } from './fuzz/scheduler.ts';
import { createWorld, type World } from './fuzz/world.ts';

// A run that fails comes again with FUZZ_SEED=<seed>; FUZZ_SEEDS=<count> tries more of them.
const given = process.env.FUZZ_SEED;
const count = Number(process.env.FUZZ_SEEDS ?? 12);
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

  t.strictSame(world.broken, []);
  for (const [name, { unanswerable }] of world.cas)
    t.strictSame(unanswerable, [], `${name} was told to validate only what every edge answers`);
  for (const host of hosts) {
    const order = await world.store.get('order', host);
    const certificate = await world.store.get('certificate', host);
    t.ok(order?.value.dueAt, `${host} has a next date`);
    if (isBad(host)) t.equal(certificate, null);
    else t.ok(Date.parse(certificate?.value.notAfter ?? '') > world.clock.now(), `${host} is served`);
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
    await routes.patch(host, {}).catch(ignoreConflict);
  } else if (roll < 0.095) {
    const index = random.below(controlPlanes.length);
    const victim = controlPlanes[index]!;
    victim.dead = true;
    controlPlanes[index] = world.createControlPlane(victim.name);
    return 1;
  } else if (roll < 0.1) {
    random.pick(controlPlanes).pausedUntil = scheduler.steps + random.below(60);
  } else {
    await scheduler.step(({ label }) => (random.chance(0.03) ? faultAt(label) : null));
  }
  return 0;
}

function faultAt(label: string): Error | null {
  if (label === 'wait' || label === 'fleet.applied') return null;
  return /newOrder|getOrder|getAuthorization|completeChallenge|finalize|getCertificate/.test(label)
    ? new AcmeProblem({ status: null, detail: 'connection reset' })
    : new AppError('store_unavailable', 'the store cannot be reached');
}

/** All trouble ends: whatever is due is taken up until every good host is served and nothing is under way. */
async function heal(world: World): Promise<void> {
  const { scheduler, clock, controlPlanes, cas } = world;
  for (const ca of cas.values()) ca.down = false;
  for (const controlPlane of controlPlanes) controlPlane.pausedUntil = 0;
  const drain = async () => {
    while (await scheduler.step(() => null));
    await scheduler.settle();
  };
  await drain();
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

function ignoreConflict(error: unknown): void {
  if (error instanceof Crash) throw error;
}
