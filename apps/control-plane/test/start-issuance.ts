import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type OrderRecord, orderLanes, type PutIssuer } from '@lockstep/contract';
import { createSealers, generateSecretKey } from '@lockstep/pki';
import { type ConfigStore, createSqliteStore } from '@lockstep/store';
import { type FaultyFront, nodeReport, type Pebble, startFaultyFront, startPebble } from '@lockstep/testkit';
import { pino } from 'pino';
import type t from 'tap';
import { createChangeHub } from '../src/changes/change-hub.ts';
import { createFleet } from '../src/fleet/fleet.ts';
import { createIssuance } from '../src/issuance/issuance.ts';
import { createIssuerService } from '../src/issuers/issuer-service.ts';
import { createKnownIssuers } from '../src/issuers/known-issuers.ts';
import { createOrderQueue } from '../src/orders/order-queue.ts';
import { createRouteService } from '../src/routes/route-service.ts';
import { createSettingsService, defaultSettings } from '../src/settings/settings-service.ts';
import { createSettingsSource } from '../src/settings/settings-source.ts';
import { byAdmin } from './by-admin.ts';

const log = pino({ level: 'silent' });

/**
 * All that obtains certificates, against a real Pebble behind a front that fails when told, on a clock that the test moves: nothing is
 * taken up by itself. The edges' part is played by a server that answers HTTP-01 from the store.
 */
export async function startIssuance(
  test: Pick<typeof t, 'teardown'>,
  config: Partial<PutIssuer> = {},
  /** The external account that Pebble wants, and where ZeroSSL's API is said to be. */
  { eab, zeroSslApi }: { eab?: { kid: string; hmacKey: string }; zeroSslApi?: string } = {},
) {
  let offsetMs = 0;
  const now = () => Date.now() + offsetMs;
  const store = createSqliteStore({ path: ':memory:', now });
  test.teardown(() => store.close());
  await store.open({ create: true, expectedEpoch: null });
  const pebble = await startPebble({ httpPort: await startAnswerer(test, store), ...(eab && { eab }) });
  test.teardown(() => pebble.close());
  const front = await startFaultyFront({ pebble });
  test.teardown(() => front.close());

  const sealers = createSealers(generateSecretKey());
  const sealer = sealers.controlPlanes;
  const hub = await createChangeHub({ store, log });
  test.teardown(() => hub.close());
  const clock = { now, skewMs: () => 0, fault: () => null, watch: () => () => {}, close: () => {} };
  const fleet = await createFleet({ store, clock, settings: defaultSettings, log });
  test.teardown(() => fleet.close());
  const settings = await createSettingsSource({ store, sealer, hub, log });
  test.teardown(() => settings.close());
  const known = createKnownIssuers({ store, acme: null, rootsPem: null });
  const issuers = createIssuerService({ store, sealer, known, findAccountUrl: async () => null });
  const ca = {
    type: 'acme',
    directory: front.directory,
    roots: front.rootPem,
    keyType: 'ecdsa-p256',
    ...config,
  };
  const putIssuer = (name: string, rest: object = {}) =>
    issuers.put(byAdmin, name, { ...ca, ...rest } as PutIssuer);
  await putIssuer('ca');
  const service = createSettingsService({ store, sealer, known });
  await service.patch(byAdmin, { issuers: ['ca'] });
  const queue = createOrderQueue({ store, now });
  const issuance = createIssuance({
    store,
    sealers,
    hub,
    fleet,
    settings,
    known,
    queue,
    stillAllowed: async () => true,
    userAgent: 'test',
    zeroSsl:
      zeroSslApi === undefined
        ? undefined
        : { directory: front.directory, rootsPem: front.rootPem, apiUrl: zeroSslApi },
    log,
    now,
  });
  test.teardown(() => issuance.close());
  const routes = createRouteService({ store, queue, check: async () => [], now });

  async function reportNode(): Promise<void> {
    await store.reportNode(nodeReport('edge-1', { applied: await store.head() }));
    await fleet.refresh();
  }
  // The edge applies each commit as it comes.
  test.teardown(hub.watch(() => void reportNode().catch(() => {})));

  /** Takes up whatever is due now, until nothing is or `enough` says so. */
  async function runDue(enough: () => Promise<boolean> = async () => false): Promise<void> {
    for (let round = 0; round < 200; round += 1) {
      if (await enough()) return;
      const due = (
        await Promise.all(Object.values(orderLanes).map((lane) => store.listDue('order', now(), 100, lane)))
      ).flat();
      if (due.length === 0) return;
      await reportNode();
      for (const { id } of due) await issuance.runner.run(id, new AbortController().signal);
    }
    throw new Error('there is always something due');
  }

  const next = async () => {
    const dates = await Promise.all(Object.values(orderLanes).map((lane) => store.nextDue('order', lane)));
    return Math.min(...dates.map((date) => date ?? Number.POSITIVE_INFINITY));
  };

  /** Moves the clock to the next date in the store, if it comes before `until`; false when it does not. */
  async function advanceToNext(until: number): Promise<boolean> {
    const at = await next();
    if (at > until) return false;
    offsetMs += Math.max(0, at - now());
    return true;
  }

  /** Runs what is due until `done`, and goes on at the next dates, as an attempt that failed in passing does. */
  async function runUntil(done: () => Promise<boolean>, withinMs = 4 * 3_600_000): Promise<void> {
    const until = now() + withinMs;
    await runDue(done);
    while (!(await done()) && (await advanceToNext(until))) await runDue(done);
    if (await done()) return;
    const attempts = await store.list('attempts', { limit: 10 });
    throw new Error(`it has not come to pass: ${JSON.stringify(attempts.items)}`);
  }

  return {
    store,
    runUntil,
    pebble: pebble as Pebble,
    front: front as FaultyFront,
    issuance,
    /** An issuer as `ca` is, but for what `rest` says. */
    putIssuer,
    issuers,
    settings: service,
    setChain: (names: string[]) => service.patch(byAdmin, { issuers: names }),
    now,
    runDue,
    advanceToNext,
    advanceTo(at: number) {
      offsetMs += at - now();
    },
    name: (host: string) =>
      routes.replace(byAdmin, host, {
        hosts: [host],
        paths: ['/'],
        upstreams: [{ url: 'http://127.0.0.1:1' }],
      }),
    unname: (host: string) => routes.remove(byAdmin, host),
    async order(host: string): Promise<OrderRecord> {
      const found = await store.get('order', host);
      if (found === null) throw new Error(`no order of ${host}`);
      return found.value;
    },
    async certificate(host: string) {
      const found = await store.get('certificate', host);
      if (found === null) throw new Error(`no certificate of ${host}`);
      return found.value;
    },
  };
}

async function startAnswerer(test: Pick<typeof t, 'teardown'>, store: ConfigStore): Promise<number> {
  const server = createServer((request, response) => {
    const token = request.url?.split('/').at(-1) ?? '';
    store.get('challenge', token).then(
      (found) => response.writeHead(found === null ? 404 : 200).end(found?.value.keyAuthorization),
      () => response.writeHead(500).end(),
    );
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  test.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}
