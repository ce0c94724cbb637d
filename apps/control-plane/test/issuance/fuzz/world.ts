import { X509Certificate } from 'node:crypto';
import { AppError, isAppError, orderLanes, type StoredRecord } from '@lockstep/contract';
import { AcmeProblem, checkChain, createSealers, generateSecretKey } from '@lockstep/pki';
import { type ConfigStore, createSqliteStore } from '@lockstep/store';
import { createClock } from '@lockstep/testkit';
import { pino } from 'pino';
import type { Fleet } from '../../../src/fleet/fleet.ts';
import { createAttemptOutcomes } from '../../../src/issuance/attempt-outcomes.ts';
import { createAttempts } from '../../../src/issuance/attempts.ts';
import { type CaGate, createCaGate } from '../../../src/issuance/ca-gate.ts';
import { createOrderRunner, type OrderRunner } from '../../../src/issuance/order-runner.ts';
import { createRenewals } from '../../../src/issuance/renewals.ts';
import { createAcmeIssuer } from '../../../src/issuers/acme/acme-issuer.ts';
import type { AcmeSession } from '../../../src/issuers/acme/acme-session.ts';
import { createAuthorizer } from '../../../src/issuers/acme/authorizer.ts';
import { createCaCounts } from '../../../src/issuers/ca-counts.ts';
import { createLedger } from '../../../src/issuers/ledger/token-ledger.ts';
import { createOrderQueue } from '../../../src/orders/order-queue.ts';
import { createRouteService } from '../../../src/routes/route-service.ts';
import { byAdmin } from '../../by-admin.ts';
import { createFakeCa, type FakeCa } from './fake-ca.ts';
import { createRandom } from './random.ts';
import { createScheduler, type Replica, type Scheduler } from './scheduler.ts';

/** Nothing here is proven by dns-persist-01. */
const noPersistence = {
  before: () => Promise.reject(new Error('not asked for here')),
  of: () => Promise.reject(new Error('not asked for here')),
  look: () => Promise.reject(new Error('not asked for here')),
  lacking: () => Promise.reject(new Error('not asked for here')),
};

const log = pino({ level: 'silent' });
const sealers = createSealers(generateSecretKey());
export const caNames = ['first', 'second', 'third'];
const pointsOfStore = [
  'get',
  'getMany',
  'findClaims',
  'commit',
  'acquireLease',
  'releaseLease',
  'head',
] as const;

export interface ControlPlane extends Replica {
  runner: OrderRunner;
}

export type World = Awaited<ReturnType<typeof createWorld>>;

/** Control planes over one store and three CAs, each of their awaits a point where the scheduler decides what happens. */
export async function createWorld(seed: number, hosts: string[], isBad: (host: string) => boolean) {
  const random = createRandom(seed);
  const clock = createClock();
  const scheduler = createScheduler(random);
  const store = createSqliteStore({ path: ':memory:', now: clock.now });
  await store.open({ create: true, expectedEpoch: null });
  const broken: string[] = [];
  const replicas: Replica[] = [];
  const observed = observe(store, clock.now, (fault) => broken.push(fault));
  const cas = new Map<string, FakeCa>();
  /** Issuers that are deleted for now. */
  const gone = new Set<string>();
  for (const name of caNames)
    cas.set(name, await createFakeCa({ name, store, random, isBad, now: clock.now }));
  const queue = createOrderQueue({ store, now: clock.now });
  const routes = createRouteService({ store: observed, queue, check: async () => [], now: clock.now });

  function createControlPlane(name: string): ControlPlane {
    const replica: Replica = { name, dead: false, pausedUntil: 0 };
    replicas.push(replica);
    const mine = withPoints(observed, pointsOfStore, replica, scheduler);
    const fleet = {
      async applied() {
        await scheduler.point(replica, 'fleet.applied');
        return [];
      },
    } as unknown as Fleet;
    const issuers = new Map(
      [...cas].map(([caName, ca]) => {
        const client = withPoints(ca.client, caMethods, replica, scheduler);
        const session: AcmeSession = {
          async use(_signal, work) {
            if (ca.down) throw new AcmeProblem({ status: null, detail: 'connection refused' });
            return work(client);
          },
          account: async () => ({ id: caName, keyPem: '', url: 'https://ca.test/account/1' }),
          close: () => {},
        };
        const issuer = createAcmeIssuer({
          name: caName,
          directory: `https://${caName}.test/dir`,
          session,
          authorizer: createAuthorizer({
            store: mine,
            fleet,
            sealer: sealers.edges,
            persist: noPersistence,
            records: noPersistence,
            publisher: () => null,
            log,
            now: clock.now,
          }),
          persist: noPersistence,
          sealer: sealers.controlPlanes,
          keyType: 'ecdsa-p256',
          profile: null,
          preferredChain: null,
          challenges: ['http-01'],
          addressFault: null,
          caaIdentities: [],
          limits: null,
          now: clock.now,
        });
        return [caName, issuer] as const;
      }),
    );
    const registry = {
      find: async (issuer: string) => (gone.has(issuer) ? null : (issuers.get(issuer) ?? null)),
      defaultChain: () => caNames,
      close: () => {},
    };
    const wait = () => scheduler.point(replica, 'wait');
    const ledger = createLedger({ store: mine, now: clock.now, wait });
    const outcomes = createAttemptOutcomes({
      store: mine,
      sealer: sealers.edges,
      ledger,
      stapleChanges: () => [],
      now: clock.now,
    });
    const preflight = {
      check: async () => ({ ok: true, detail: '', requirements: [], seen: null, issuers: caNames }),
    };
    const attempts = createAttempts({
      registry,
      preflight,
      ledger,
      outcomes,
      gate: observedGate(createCaGate({ now: clock.now }), scheduler),
      consent: async () => null,
      queue,
      counts: createCaCounts(),
      log,
      now: clock.now,
    });
    const renewals = createRenewals({ registry, preflight, log, now: clock.now });
    const runner = createOrderRunner({
      store: mine,
      ledger,
      settings: { refresh: async () => {} },
      attempts,
      renewals,
      now: clock.now,
      wait,
    });
    return Object.assign(replica, { runner });
  }

  async function dueOrders(): Promise<StoredRecord<'order'>[]> {
    const lanes = Object.values(orderLanes);
    return (await Promise.all(lanes.map((lane) => store.listDue('order', clock.now(), 1_000, lane)))).flat();
  }

  const name = (host: string) =>
    routes.replace(byAdmin, host, {
      hosts: [host],
      paths: ['/'],
      upstreams: [{ url: 'http://127.0.0.1:1' }],
    });
  for (const host of hosts) await name(host);
  return {
    random,
    clock,
    scheduler,
    store,
    routes,
    /** Makes the route of a host. */
    name,
    cas,
    gone,
    broken,
    controlPlanes: ['a', 'b', 'c'].map(createControlPlane),
    createControlPlane,
    dueOrders,
    async close() {
      for (const replica of replicas) replica.dead = true;
      await scheduler.close();
      await store.close();
    },
  };
}

const caMethods = [
  'newOrder',
  'getOrder',
  'getAuthorization',
  'completeChallenge',
  'finalize',
  'getCertificate',
] as const;

/** Each call may go wrong before it has had its effect, and after. */
function withPoints<T extends object>(
  target: T,
  methods: readonly (keyof T & string)[],
  replica: Replica,
  scheduler: Scheduler,
): T {
  const wrapped: T = Object.create(target);
  for (const method of methods) {
    const call = target[method] as (...args: unknown[]) => Promise<unknown>;
    Object.defineProperty(wrapped, method, {
      async value(...args: unknown[]) {
        await scheduler.point(replica, `before ${method}`);
        const result = await call.apply(target, args);
        await scheduler.point(replica, `after ${method}`);
        return result;
      },
    });
  }
  return wrapped;
}

function observedGate(gate: CaGate, scheduler: Scheduler): CaGate {
  return {
    run: (issuer, urgent, work) => scheduler.queued((inTurn) => gate.run(issuer, urgent, () => inTurn(work))),
  };
}

/** The store, with the invariants checked at every grant and every commit. */
function observe(store: ConfigStore, now: () => number, report: (fault: string) => void): ConfigStore {
  const grants = new Map<string, { token: number; expiresAt: number }>();
  return Object.assign(Object.create(store), {
    async acquireLease(name: string, ttlMs: number) {
      const lease = await store.acquireLease(name, ttlMs);
      const before = grants.get(name);
      if (lease !== null && before !== undefined && before.expiresAt > now())
        report(`two live leases: ${name}`);
      if (lease !== null) grants.set(name, lease);
      return lease;
    },
    async releaseLease(lease: { name: string; token: number }) {
      await store.releaseLease(lease as never);
      if (grants.get(lease.name)?.token === lease.token) grants.delete(lease.name);
    },
    async commit(commit: Parameters<ConfigStore['commit']>[0]) {
      const before = new Map<string, StoredRecord<'certificate'> | null>();
      for (const { kind, id } of commit.changes)
        if (kind === 'certificate') before.set(id, await store.get('certificate', id));
      const position = await store.commit(commit);
      for (const change of commit.changes) {
        if (change.op !== 'put' || change.kind !== 'certificate') continue;
        const fault = worse(before.get(change.id)?.value.chain ?? null, change.value, now());
        if (fault !== null) report(`${change.id}: ${fault}`);
      }
      return position;
    },
  });
}

/** Why a certificate should not have replaced another; null when it is as good or better. */
function worse(
  before: string | null,
  after: { host: string; chain: string; sealedKey: string },
  now: number,
): string | null {
  try {
    const keyPem = sealers.edges.open(after.sealedKey, `certificate/${after.host}`);
    checkChain({ chain: after.chain, keyPem, host: after.host, now });
  } catch (error) {
    return isAppError(error) || error instanceof AppError ? error.message : String(error);
  }
  if (before === null) return null;
  const [old, young] = [new X509Certificate(before), new X509Certificate(after.chain)];
  return young.validToDate < old.validToDate ? 'it expires earlier than the one it replaces' : null;
}
