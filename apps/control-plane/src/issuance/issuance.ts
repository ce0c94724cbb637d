import { AppError, recordKey } from '@lockstep/contract';
import { ocspUrlOf, type Sealers } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import type { RevokeAtCa } from '../certificates/certificate-service.ts';
import type { ChangeHub } from '../changes/change-hub.ts';
import { commit, writeInTurn } from '../changes/writes.ts';
import { anyonesQuestions, createLookups } from '../dns/dns-lookup.ts';
import { createPersistRecords } from '../dns/persist-records.ts';
import { createZones, type Zones } from '../dns/zones.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { type BuildIssuerOptions, buildIssuer } from '../issuers/build-issuer.ts';
import { type CaCounts, createCaCounts } from '../issuers/ca-counts.ts';
import { IssuerFailure } from '../issuers/issuer.ts';
import { createIssuerRegistry, type IssuerRegistry } from '../issuers/issuer-registry.ts';
import type { KnownIssuers } from '../issuers/known-issuers.ts';
import type { Ledger } from '../issuers/ledger/ledger.ts';
import { createLedger } from '../issuers/ledger/token-ledger.ts';
import { createTxtPublisherRegistry } from '../issuers/txt-publisher-registry.ts';
import type { OrderQueue } from '../orders/order-queue.ts';
import { forgetFailures, putOrder } from '../orders/order-record.ts';
import type { SettingsSource } from '../settings/settings-source.ts';
import { stapleChanges } from '../stapling/staple-changes.ts';
import type { LoopShare } from '../time/loop-share.ts';
import { createAttemptOutcomes } from './attempt-outcomes.ts';
import { createAttempts } from './attempts.ts';
import { createCaGate } from './ca-gate.ts';
import { createConsent } from './consent.ts';
import { type Coordinator, createCoordinator } from './coordinator.ts';
import { createOrderRunner, type OrderRunner } from './order-runner.ts';
import { createPreflight, type Preflight } from './preflight.ts';
import { createRenewals } from './renewals.ts';

/*
 * How a certificate comes about, from the top:
 *
 * coordinator       finds orders that are due, queue by queue, and has places for them
 * order-runner      takes one under its lease (changes/kept-lease), a step at a time; step-tools write down what comes of a step
 *   renewals        nothing is under way: whether it is time for another certificate (renewal-dates, ARI)
 *   attempts        begins an attempt, or goes on with one
 *     host-context  what the routes of the host ask, read once a step
 *     consent       whether a name that no route names may still have a certificate
 *     zones         who keeps the DNS of hosts
 *     preflight     whether the DNS leads here, and whom CAA allows
 *     issuer-choice which issuer of the chain is asked, and which after it
 *     ca-gate       one new order of a CA at a time
 *   attempt-outcomes  the certificate and the next date, or what the failure changes, as one commit
 *     after-failure   the next issuer, the same again, or a date (back-off)
 *
 * Beside it: retry-failed ends the waits for an issuer that its operator repaired.
 */

const sweepIntervalMs = 60_000;

export interface IssuanceOptions {
  /** For addresses that settings name. */
  fetch?: typeof globalThis.fetch;
  store: ConfigStore;
  sealers: Sealers;
  hub: ChangeHub;
  fleet: Fleet;
  settings: SettingsSource;
  known: KnownIssuers;
  /** Hosts that control planes serve themselves. */
  ownHosts?: readonly string[];
  queue: OrderQueue;
  /** Where orders wait for their turn of the event loop before each step. */
  share?: LoopShare;
  /** Whether a name that a handshake asked for may still have a certificate. Throws `upstream_unreachable` without a clear answer. */
  stillAllowed(host: string): Promise<boolean>;
  userAgent: string;
  zeroSsl?: BuildIssuerOptions['zeroSsl'];
  log: Logger;
  now?: () => number;
}

/** All that obtains certificates, wired up. */
export interface Issuance {
  registry: IssuerRegistry;
  preflight: Preflight;
  zones: Zones;
  ledger: Ledger;
  counts: CaCounts;
  runner: OrderRunner;
  revokeAtCa: RevokeAtCa;
  /** The CA has revoked a certificate by itself: another is obtained at once. `cause`: the commit upon which the CA was asked. */
  replaceRevoked(id: string, cause: number): Promise<void>;
  /** Begins to take up due orders. */
  start(): Coordinator;
  /** Hands leases over and stops. */
  close(): Promise<void>;
}

export function createIssuance(options: IssuanceOptions): Issuance {
  const {
    store,
    sealers,
    hub,
    fleet,
    settings,
    known,
    queue,
    stillAllowed,
    userAgent,
    log,
    now = Date.now,
  } = options;
  const counts = createCaCounts();
  const lookups = createLookups(settings);
  const zones = createZones({ lookups });
  const publishers = createTxtPublisherRegistry({ settings, lookups, fetch: options.fetch, log, now });
  const records = createPersistRecords({ lookups, settings, now });
  const registry = createIssuerRegistry({
    sealer: sealers.controlPlanes,
    settings,
    known,
    build: (name, config) =>
      buildIssuer(name, config, {
        store,
        sealers,
        fleet,
        publisher: publishers.find,
        records,
        counts,
        log,
        userAgent,
        now,
        zeroSsl: options.zeroSsl,
      }),
  });
  const ofPreflight = { store, settings, registry, zones, ownHosts: options.ownHosts, now };
  const preflight = createPreflight({ ...ofPreflight, lookups, records });
  // Callers may ask about any names: no order waits behind theirs.
  const asked = createLookups(settings, anyonesQuestions);
  const askedPreflight = createPreflight({
    ...ofPreflight,
    lookups: asked,
    records: createPersistRecords({ lookups: asked, settings, now }),
  });
  const ledger = createLedger({ store, waitingShare: () => settings.current().waitingShare, now });
  const outcomes = createAttemptOutcomes({
    store,
    sealer: sealers.edges,
    ledger,
    stapleChanges: (id, chain) => stapleChanges(id, chain, now(), ocspUrlOf),
    now,
  });
  const gate = createCaGate({ now });
  const attempts = createAttempts({
    registry,
    preflight,
    ledger,
    outcomes,
    gate,
    consent: createConsent({ stillAllowed, now }),
    queue,
    counts,
    log,
    now,
  });
  const renewals = createRenewals({ registry, preflight, log, now });
  const runner = createOrderRunner({
    store,
    ledger,
    settings,
    attempts,
    renewals,
    share: options.share,
    now,
  });
  const stop = new AbortController();
  let coordinator: Coordinator | null = null;
  const sweeper = setInterval(() => {
    ledger.sweep(stop.signal).catch((error: unknown) => {
      if (!stop.signal.aborted) log.info({ err: error }, 'could not sweep the ledger; trying again');
    });
  }, sweepIntervalMs);

  return {
    registry,
    preflight: askedPreflight,
    zones,
    ledger,
    counts,
    runner,
    async revokeAtCa({ id, value }, reason) {
      const issuer = await registry.find(value.issuer);
      if (issuer === null)
        throw new AppError(
          'issuer_failed',
          `there is no issuer "${value.issuer}" any more; put it back to revoke`,
        );
      try {
        const keyPem = sealers.edges.open(value.sealedKey, recordKey('certificate', id));
        await issuer.revoke(value.chain, reason, keyPem);
      } catch (error) {
        if (!(error instanceof IssuerFailure)) throw error;
        throw new AppError('issuer_failed', `issuer "${value.issuer}": ${error.message}`, { cause: error });
      }
    },
    async replaceRevoked(id, cause) {
      await writeInTurn(store, [recordKey('order', id)], async () => {
        const order = await store.get('order', id);
        if (order === null) return;
        if (order.value.renewal === 'revoked' || order.value.unusedSince !== null) return;
        const value = { ...forgetFailures(order.value, now()), renewal: 'revoked' as const };
        await commit(store, {
          by: { kind: 'stapler' },
          cause,
          checks: [{ kind: 'order', id, revision: order.revision }],
          changes: [putOrder(id, value)],
        });
        log.warn({ certificate: id }, 'the CA revoked a certificate; another is obtained');
      });
    },
    start() {
      coordinator ??= createCoordinator({ store, hub, fleet, runner, queue, log, now });
      return coordinator;
    },
    async close() {
      stop.abort(new AppError('shutting_down', 'the control plane stops'));
      clearInterval(sweeper);
      await coordinator?.close();
      registry.close();
      publishers.close();
    },
  };
}
