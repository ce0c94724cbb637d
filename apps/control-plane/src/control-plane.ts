import { type Address, AppError, createBoundary, formatAddress } from '@lockstep/contract';
import { fetchStaple, type Sealers } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import { createAuthenticate } from './auth/authenticate.ts';
import { createCertificateService } from './certificates/certificate-service.ts';
import { createCertificateView } from './certificates/certificate-view.ts';
import { createExpiryWatch } from './certificates/expiry-watch.ts';
import { createAudit } from './changes/audit.ts';
import { createChangeHub } from './changes/change-hub.ts';
import { createRecentCommits } from './changes/recent-commits.ts';
import { anyonesQuestions, createLookups } from './dns/dns-lookup.ts';
import { createFleetAddresses } from './dns/fleet-addresses.ts';
import { createEventHistory } from './events/event-history.ts';
import { createObserver } from './events/observer.ts';
import { createFleet } from './fleet/fleet.ts';
import { createFleetWatch } from './fleet/fleet-status.ts';
import { createTurns } from './fleet/history-turns.ts';
import { createNodeUpstreams } from './fleet/node-upstreams.ts';
import { createRouteTraffic } from './fleet/route-traffic.ts';
import { createStoreClock } from './fleet/store-clock.ts';
import { createStoreWatch } from './fleet/store-watch.ts';
import { createIdempotencyKeys } from './idempotency/idempotency-keys.ts';
import { createInstructions } from './instructions/instructions.ts';
import { createIssuance } from './issuance/issuance.ts';
import { createRetryFailed } from './issuance/retry-failed.ts';
import { accountIdOf } from './issuers/acme/account-id.ts';
import { findAccountUrl } from './issuers/acme/acme-account.ts';
import { findOrMakeAuthority } from './issuers/authority.ts';
import { createIssuerService } from './issuers/issuer-service.ts';
import { createKnownIssuers } from './issuers/known-issuers.ts';
import { openFleetKeys } from './keys/fleet-keys.ts';
import { createKeyrings } from './keys/keyrings.ts';
import { createResealing } from './keys/resealing.ts';
import { createRotation } from './keys/rotation.ts';
import { createListeners } from './listeners.ts';
import { createMetrics } from './monitoring/metrics.ts';
import { createReadiness } from './monitoring/readiness.ts';
import { createOnDemand } from './on-demand/on-demand.ts';
import { createIssuingPace } from './orders/issuing-pace.ts';
import { createOrderQueue } from './orders/order-queue.ts';
import { createWaitedOrders } from './orders/waited-orders.ts';
import { createDenied } from './outbound/denied.ts';
import { createGuardedFetch } from './outbound/guarded-fetch.ts';
import { createPublicOnly } from './outbound/public-only.ts';
import { createOwnership } from './ownership/ownership.ts';
import { createDnsRecheck } from './routes/dns-recheck.ts';
import { createRouteRules } from './routes/route-rules.ts';
import { createRouteService } from './routes/route-service.ts';
import { createRouteView } from './routes/route-view.ts';
import { createTakeHost } from './routes/take-host.ts';
import { createTicketKeys } from './session-tickets/ticket-keys.ts';
import { createSettingsService } from './settings/settings-service.ts';
import { createSettingsSource } from './settings/settings-source.ts';
import { createStapler } from './stapling/stapler.ts';
import { type ControlPlaneConfig, readRoots } from './startup/config.ts';
import { openHistory } from './startup/open-history.ts';
import { writeRootCertificate } from './startup/root-certificate.ts';
import { keepSeenHistory } from './startup/seen-history.ts';
import { version } from './startup/version.ts';
import { createLoopShare } from './time/loop-share.ts';
import { createExpiredTokens } from './tokens/expired-tokens.ts';
import { createKnownTokens } from './tokens/known-tokens.ts';
import { createTokenService } from './tokens/token-service.ts';
import { createTokenUses } from './tokens/token-uses.ts';
import { createDeliver } from './webhooks/deliver.ts';
import { createRedelivery } from './webhooks/redelivery.ts';
import { createSender } from './webhooks/sender.ts';
import { createWebhookTargets } from './webhooks/targets.ts';
import { createWebhookService } from './webhooks/webhook-service.ts';

export interface ControlPlane {
  /** Where the API answers: the port is a real one also when 0 was asked for. */
  address: Address;
  url: string;
  /** Where Caddy's admin API is spoken; null: nowhere. */
  caddyApi: Address | null;
  /** PEM of the internal CA's root; null with an ACME CA. */
  rootCertificate: string | null;
  /** The issuers that are tried where a route names none, as the settings are now. */
  chain(): string[];
  /** Answers open waits, hands leases over and stops. The store stays open: it is the caller's. */
  close(): Promise<void>;
}

export interface ControlPlaneOptions {
  config: ControlPlaneConfig;
  store: ConfigStore;
  sealers: Sealers;
  log: Logger;
}

/**
 * Starts a control plane over a store. Throws `store_unavailable`, `store_lost`, `wrong_secret_key` or `bad_configuration`
 * before it listens; nothing is left running then.
 */
export async function createControlPlane({
  config,
  store: ownStore,
  sealers,
  log,
}: ControlPlaneOptions): Promise<ControlPlane> {
  const rootsPem = readRoots(config.acme?.caFile ?? null);
  await openHistory(config, ownStore);
  const keys = await openFleetKeys(ownStore, sealers);
  const { store } = keys;

  const boundary = createBoundary(log);
  const stopping = new AbortController();
  const closers: (() => void | Promise<void>)[] = [];
  const close = async () => {
    stopping.abort(new AppError('shutting_down', 'the control plane stops'));
    for (const closer of closers.splice(0).reverse()) await closer();
  };

  try {
    closers.push(keepSeenHistory(config.dataDir, store, log).close);
    // What is dated in the store is dated by its clock, whatever this machine's says.
    const clock = await createStoreClock({ store, log, boundary });
    closers.push(clock.close);
    const { now } = clock;
    const commits = createRecentCommits({ now });
    const hub = await createChangeHub({ store, commits, log, boundary });
    closers.push(hub.close);
    closers.push(keys.follow(hub, log));
    const keyrings = await createKeyrings({ store, keys: sealers.controlPlanes.keyIds, log });
    closers.push(keyrings.close);
    const sealer = sealers.controlPlanes;
    const settings = await createSettingsSource({ store, sealer, hub, log });
    closers.push(settings.close);
    const userAgent = `lockstep/${version}`;
    // Not those of issuance: hosts that wait for a proof, whose DNS may be dead, hold up the looks of no order.
    const lookups = createLookups(settings, anyonesQuestions);
    const addresses = createFleetAddresses({ lookups });
    const fleet = await createFleet({ store, clock, settings: settings.current, addresses, log, boundary });
    closers.push(fleet.close);
    closers.push(createResealing({ keys, fleet, sealers, log, boundary }).close);
    const turns = await createTurns({ store, commits, log });
    closers.push(turns.close);
    const storeWatch = createStoreWatch({ store, now, log, boundary });
    closers.push(storeWatch.close);
    const fleetWatch = createFleetWatch({
      fleet,
      commits,
      turns,
      storeWatch,
      clock,
      keys: keys.status,
      log,
      boundary,
    });
    closers.push(fleetWatch.close);
    const routeTraffic = createRouteTraffic({ store, fleet, boundary });
    closers.push(routeTraffic.close);
    const known = createKnownIssuers({ store, acme: config.acme, rootsPem });
    const chain = () => settings.current().issuers ?? known.defaultChain;
    const rootCertificate =
      config.acme === null ? (await findOrMakeAuthority(store, sealer, now)).certificate : null;
    if (rootCertificate !== null) await writeRootCertificate(config.dataDir, rootCertificate);

    const waited = createWaitedOrders({ hub, now });
    closers.push(waited.close);
    const share = createLoopShare({ hurry: waited.any });
    const queue = createOrderQueue({ store, hub, now });
    closers.push(queue.close);
    const pace = createIssuingPace({ hub, now });
    closers.push(pace.close);
    const listeners = createListeners(config);
    const { ownHosts, addresses: ownServices } = listeners;
    const denied = createDenied({ settings: settings.current, nodes: fleet.nodes, ownServices });
    const guardedFetch = createGuardedFetch(denied.now);
    const onDemand = createOnDemand({ store, settings, queue, log, now, fetch: guardedFetch, boundary });
    closers.push(onDemand.close);
    const nodeUpstreams = createNodeUpstreams({ store, boundary });
    closers.push(nodeUpstreams.close);
    const issuance = createIssuance({
      ownHosts,
      store,
      sealers,
      hub,
      fleet,
      settings,
      known,
      fetch: guardedFetch,
      queue,
      share,
      stillAllowed: onDemand.allows,
      userAgent,
      log,
      now,
    });
    closers.push(issuance.close);
    const { preflight, zones, ledger, revokeAtCa } = issuance;
    const coordinator = issuance.start();
    const stapler = createStapler({ store, hub, log, fetchStaple, onRevoked: issuance.replaceRevoked, now });
    closers.push(stapler.close);
    const ticketKeys = await createTicketKeys({ store, sealer: sealers.edges, hub, log, now });
    closers.push(ticketKeys.close);
    const tokens = await createKnownTokens({ store, hub, log });
    closers.push(tokens.close);
    const tokenUses = createTokenUses({ store, tokens, log, now });
    closers.push(tokenUses.close);
    closers.push(createExpiredTokens({ store, boundary, now }).close);
    const expiry = createExpiryWatch({ store, hub, log, now });
    closers.push(expiry.close);
    const idempotency = createIdempotencyKeys({ store, sealer, boundary, now });
    closers.push(idempotency.close);
    const events = createEventHistory({ store, hub, log, boundary });
    closers.push(events.close);
    const observer = createObserver({ store, hub, fleet, fleetWatch, known, now, log, boundary });
    closers.push(observer.close);
    const authenticate = createAuthenticate({ adminTokens: config.adminTokens, find: tokens.find, now });
    const access = { authenticate, onUse: tokenUses.note };
    const defaultIssuer = () => chain()[0] ?? null;
    const ownership = createOwnership({
      store,
      hub,
      sealer,
      settings,
      lookups,
      denied: createPublicOnly({ settings: settings.current, nodes: fleet.nodes, ownServices }).now,
      ownHosts,
      take: (tokens) =>
        createTakeHost({ store, queue, tokens, settings: settings.current, defaultIssuer, now }),
      userAgent,
      log,
      now,
    });
    closers.push(ownership.close);
    const routeService = createRouteService({
      ownership: ownership.hosts,
      store,
      sealer: sealers.edges,
      now,
      check: createRouteRules({ store, known, settings, denied }),
      queue,
      defaultIssuer,
      ownHosts,
    });
    const certificateService = createCertificateService({
      store,
      sealer: sealers.edges,
      revokeAtCa,
      known,
      servesOnDemand: () => settings.current().onDemand !== null,
      mustBeProven: (origin) => ownership.hosts.policyOf(origin) !== 'off',
      now,
    });
    const targets = createWebhookTargets({ settings: settings.current, nodes: fleet.nodes, ownServices });
    const plainAllowed = () => settings.current().webhookTargets === 'any';
    const fetch = createGuardedFetch(targets.now);
    const deliver = createDeliver({ fetch, sealer, plainAllowed, userAgent });
    const sender = createSender({ store, hub, history: events, deliver, boundary, log, now });
    closers.push(sender.close);
    const webhooks = {
      service: createWebhookService({ store, sealer, targets, plainAllowed, now }),
      redelivery: createRedelivery({ store, history: events, deliver, wake: sender.wake, now }),
    };
    closers.push(listeners.close);
    const { api, caddyApi, secure } = await listeners.open({
      certificate: { store, hub, sealers, queue, log, now },
      api: {
        idempotency,
        access,
        system: {
          ready: createReadiness({
            storeWatch,
            fleet,
            clock,
            keyFault: keys.fault,
            expectedEdges: config.expectedEdges,
          }),
          metrics: createMetrics({
            store,
            fleet,
            fleetWatch,
            now,
            coordinator,
            counts: issuance.counts,
            expiry,
            onDemand,
            stapler,
            webhooks: sender,
            exceptions: boundary.exceptions,
          }),
          describe: async () => (await import('./openapi/openapi-document.ts')).openapiDocument(),
        },
        resources: {
          routes: {
            store,
            service: routeService,
            view: createRouteView({ store, fleet, hub, pace }),
            checker: createDnsRecheck({
              store,
              preflight,
              queue,
              ownership: ownership.hosts,
              judge: ownership.judge,
              now,
            }),
            instructions: createInstructions({ store, zones }),
            traffic: routeTraffic.read,
          },
          certificates: {
            service: certificateService,
            view: createCertificateView({ store, fleet }),
          },
          issuers: {
            service: createIssuerService({
              store,
              sealer,
              known,
              now,
              findAccountUrl: ({ name, config }) => findAccountUrl(store, accountIdOf(name, config)),
            }),
            ledger,
            retryFailed: createRetryFailed({ store, now }),
          },
          settings: { service: createSettingsService({ store, sealer, known, denied, now }) },
          nodes: { store, fleet, fleetWatch, upstreams: nodeUpstreams },
          keys: { rotate: createRotation({ keys, sealers, fleet, keyrings, now }), status: keys.status },
          tokens: { service: createTokenService({ store, known: tokens, now }) },
          audit: { audit: createAudit(store) },
          authority: { store },
          events: { history: events },
          webhooks,
        },
        share,
        stopping: stopping.signal,
        log,
      },
      caddyApi: { store, routes: routeService, certificates: certificateService, sealer, now },
    });
    return {
      address: api,
      url: `${secure ? 'https' : 'http'}://${formatAddress(api)}`,
      caddyApi,
      rootCertificate,
      chain,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
