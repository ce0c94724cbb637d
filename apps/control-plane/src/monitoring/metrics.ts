import { type FleetStatus, type OrderLane, orderLanes, placedLanes } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { Gauge as AnyGauge } from 'prom-client';
import { type ExpiryWatch, maxCounted } from '../certificates/expiry-watch.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { FleetWatch } from '../fleet/fleet-status.ts';
import type { Coordinator } from '../issuance/coordinator.ts';
import type { CaCounts } from '../issuers/ca-counts.ts';
import type { OnDemand } from '../on-demand/on-demand.ts';
import type { Stapler } from '../stapling/stapler.ts';
import type { Sender } from '../webhooks/sender.ts';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from './prom-client.ts';

export interface Metrics {
  observeRequest(method: string, route: string, status: number, seconds: number): void;
  render(): Promise<{ contentType: string; text: string }>;
}

export interface MetricsOptions {
  store: ConfigStore;
  fleet: Fleet;
  fleetWatch: Pick<FleetWatch, 'status'>;
  now: () => number;
  coordinator: Coordinator;
  counts: Pick<CaCounts, 'attempts' | 'requests'>;
  expiry: ExpiryWatch;
  onDemand: Pick<OnDemand, 'counts'>;
  stapler: Pick<Stapler, 'counts'>;
  webhooks: Pick<Sender, 'counts' | 'standing'>;
  /** By place, as a boundary counts them. */
  exceptions: Readonly<Record<string, number>>;
}

export function createMetrics(options: MetricsOptions): Metrics {
  const { store, fleet, fleetWatch, coordinator, counts, expiry } = options;
  const registry = new Registry();
  const registers = [registry];
  let isScraped = false;
  const requests = new Histogram({
    name: 'lockstep_api_request_duration_seconds',
    help: 'Time to answer an API request; waits that the caller preferred are in it',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 300],
    registers,
  });
  new Gauge({
    name: 'lockstep_nodes',
    help: 'Expected edges, by state',
    labelNames: ['state'],
    registers,
    collect() {
      const live = fleet.liveNodes().length;
      this.set({ state: 'live' }, live);
      this.set({ state: 'lost' }, fleet.nodes().length - live);
    },
  });
  const ofFleet = (name: string, help: string, read: (status: FleetStatus) => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read(fleetWatch.status()));
      },
    });
  ofFleet('lockstep_fleet_in_step', '1 while every expected edge is live and in step', ({ inStep }) =>
    Number(inStep),
  );
  ofFleet('lockstep_nodes_behind', 'Expected edges that are not in step', ({ behind }) => behind.length);
  ofFleet(
    'lockstep_history_turns',
    'How often the store’s history went back, of the last hundred times',
    ({ history }) => history.wentBack.length,
  );
  ofFleet(
    'lockstep_clock_skew_seconds',
    'How far this control plane’s clock is ahead of the store’s',
    ({ clock }) => clock.skewMs / 1_000,
  );
  new Gauge({
    name: 'lockstep_store_reachable',
    help: '1 while the store answers; what it alone could tell is left out otherwise',
    registers,
    async collect() {
      this.set(
        await store.head().then(
          () => 1,
          () => 0,
        ),
      );
    },
  });
  new Gauge({
    name: 'lockstep_records',
    help: 'Records in the store, by kind',
    labelNames: ['kind'],
    registers,
    collect: fromStore(async (gauge) => {
      for (const kind of ['route', 'certificate', 'order'] as const)
        gauge.set({ kind }, await store.count(kind));
    }),
  });
  new Gauge({
    name: 'lockstep_store_revision',
    help: 'Number of the latest revision',
    registers,
    collect: fromStore(
      async (gauge) => gauge.set((await store.head()).number),
      (gauge) => gauge.remove(), // without labels a reset would be a zero
    ),
  });
  new Gauge({
    name: 'lockstep_orders_running',
    help: 'Orders under way in this control plane',
    registers,
    collect() {
      this.set(Object.values(coordinator.running()).reduce((sum, orders) => sum + orders, 0));
    },
  });
  new Gauge({
    name: 'lockstep_queue_running',
    help: 'Orders under way in this control plane, by queue',
    labelNames: ['queue'],
    registers,
    collect() {
      for (const [queue, orders] of Object.entries(coordinator.running())) this.set({ queue }, orders);
    },
  });
  new Counter({
    name: 'lockstep_exceptions_total',
    help: 'Unexpected errors that were caught, by place',
    labelNames: ['place'],
    registers,
    collect() {
      this.reset();
      for (const [place, times] of Object.entries(options.exceptions)) this.inc({ place }, times);
    },
  });
  const queues = (name: string, help: string, until: (queue: OrderLane) => number) =>
    new Gauge({
      name,
      help,
      labelNames: ['queue'],
      registers,
      collect: fromStore(async (gauge) => {
        for (const [queue, lane] of Object.entries(orderLanes) as [OrderLane, number][])
          gauge.set({ queue }, await store.countDue('order', until(queue), lane));
      }),
    });
  queues(
    'lockstep_orders',
    'Orders with a date, past or to come, by queue: in `retry` those that failed, in `dns` those that wait for the DNS',
    () => Number.MAX_SAFE_INTEGER,
  );
  queues(
    'lockstep_orders_due',
    'Orders whose date or turn can come, by queue, those under way too',
    (queue) => (placedLanes.includes(queue) ? Number.MAX_SAFE_INTEGER : options.now()),
  );
  new Counter({
    name: 'lockstep_attempts_total',
    help: 'Attempts at issuers of this control plane, by issuer and by what came of it',
    labelNames: ['issuer', 'outcome'],
    registers,
    collect() {
      this.reset();
      for (const { times, ...labels } of counts.attempts()) this.inc(labels, times);
    },
  });
  new Counter({
    name: 'lockstep_ca_requests_total',
    help: 'Requests of this control plane to CAs, by issuer and by status of the answer',
    labelNames: ['issuer', 'status'],
    registers,
    collect() {
      this.reset();
      for (const { times, ...labels } of counts.requests()) this.inc(labels, times);
    },
  });
  new Gauge({
    name: 'lockstep_certificates_expiring',
    help: `Certificates with less than a sixth of their lifetime left, 30 days at most, or none; counted every minute, up to ${maxCounted} in all`,
    labelNames: ['origin'],
    registers,
    collect() {
      const { managed, brought } = expiry.expiring();
      this.set({ origin: 'managed' }, managed);
      this.set({ origin: 'brought' }, brought);
    },
  });
  const outcomes = (name: string, help: string, counts: Readonly<Record<string, number>>) =>
    new Counter({
      name,
      help,
      labelNames: ['outcome'],
      registers,
      collect() {
        this.reset();
        for (const [outcome, times] of Object.entries(counts)) this.inc({ outcome }, times);
      },
    });
  outcomes(
    'lockstep_on_demand_asks_total',
    'Names that handshakes asked for, by what came of it',
    options.onDemand.counts,
  );
  outcomes('lockstep_staples_total', 'OCSP responses fetched, by what came of it', options.stapler.counts);
  outcomes(
    'lockstep_webhook_deliveries_total',
    'Events sent to webhooks by this control plane, by what came of it',
    options.webhooks.counts,
  );
  new Gauge({
    name: 'lockstep_webhooks',
    help: 'Webhooks by state; failing: it took nothing since it failed',
    labelNames: ['state'],
    registers,
    collect() {
      const { well, failing, disabled } = options.webhooks.standing;
      for (const [state, many] of Object.entries({ well, failing, disabled })) this.set({ state }, many);
    },
  });
  new Gauge({
    name: 'lockstep_webhook_subjects_waiting',
    help: 'Routes, certificates, nodes… whose events wait for another try at a webhook',
    registers,
    collect() {
      this.set(options.webhooks.standing.waitingSubjects);
    },
  });
  new Gauge({
    name: 'lockstep_webhook_oldest_waiting_seconds',
    help: 'How long the event has failed that waits longest for a webhook to take it; 0: none waits',
    registers,
    collect() {
      const { oldestFailure } = options.webhooks.standing;
      this.set(oldestFailure === null ? 0 : Math.max(0, options.now() - oldestFailure) / 1_000);
    },
  });

  return {
    observeRequest: (method, route, status, seconds) =>
      requests.observe({ method, route, status: String(status) }, seconds),
    async render() {
      if (!isScraped) collectDefaultMetrics(registry);
      isScraped = true;
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
  };
}

/** Sets a gauge from the store. While the store does not answer the gauge is left out, and the others are told all the same. */
function fromStore<T extends string>(
  set: (gauge: AnyGauge<T>) => Promise<void>,
  leaveOut = (gauge: AnyGauge<T>) => gauge.reset(),
) {
  return async function collect(this: AnyGauge<T>): Promise<void> {
    await set(this).catch(() => leaveOut(this));
  };
}
