import { durationBoundMs, durationBuckets } from '@lockstep/contract';
import {
  type DurationFigures,
  type RequestFigures,
  requestClasses,
  statusClasses,
} from '../engine/figures.ts';
import { Counter, type Registry } from './prom-client.ts';

/** Every so manyth bucket is shown: one for each doubling, from a fifth of a millisecond to three minutes and a half. */
const shownEvery = 2;
const hostsShown = 20;

type Value = { labels: Record<string, string | number>; value: number; metricName?: string };

export interface RequestMetrics {
  /** What has come since `before`, of one process. */
  count(now: RequestFigures, before: RequestFigures | undefined): void;
  /** Of all processes, as of now. */
  setHosts(hosts: readonly RequestFigures['hosts'][]): void;
}

/** Requests by what answered them and how, how long they took, and the busiest hosts. */
export function createRequestMetrics(registry: InstanceType<typeof Registry>): RequestMetrics {
  const registers = [registry];
  const answers = new Counter({
    name: 'lockstep_edge_requests_total',
    help: 'Answers by what a request was answered by, and class of status',
    labelNames: ['class', 'status'],
    registers,
  });
  const dropped = new Counter({
    name: 'lockstep_edge_access_log_dropped_total',
    help: 'Lines of the access log that could not be written',
    registers,
  });
  const took = histogram(
    registry,
    'request_duration_seconds',
    'From the head of a request to the end of its answer',
    [...requestClasses],
  );
  const firstByte = histogram(
    registry,
    'upstream_first_byte_seconds',
    'From a request to an upstream to the head of its answer',
    [null],
  );
  let hosts: Value[] = [];
  register(registry, 'host_requests_total', 'Requests for the busiest hosts', 'counter', () => hosts);

  return {
    count(now, before) {
      for (const [i, one] of now.classes.entries()) {
        const earlier = before?.classes[i];
        for (const [at, times] of one.statuses.entries()) {
          const more = times - (earlier?.statuses[at] ?? 0);
          if (more > 0) answers.inc({ class: one.name, status: statusClasses[at]! }, more);
        }
        took.add(i, one, earlier);
      }
      firstByte.add(0, now.firstBytes, before?.firstBytes);
      dropped.inc(now.linesDropped - (before?.linesDropped ?? 0));
    },
    setHosts(all) {
      const sums = new Map<string, { requests: number; errors: number }>();
      for (const [host, requests, errors] of all.flat()) {
        const sum = sums.get(host) ?? { requests: 0, errors: 0 };
        sums.set(host, { requests: sum.requests + requests, errors: sum.errors + errors });
      }
      hosts = [...sums]
        .sort(([, a], [, b]) => b.requests - a.requests)
        .slice(0, hostsShown)
        .flatMap(([host, { requests, errors }]) => [
          { labels: { host, outcome: 'answered' }, value: requests - errors },
          { labels: { host, outcome: 'failed' }, value: errors },
        ]);
    },
  };
}

/** prom-client's own takes single durations alone, and these come counted. */
function histogram(
  registry: InstanceType<typeof Registry>,
  name: string,
  help: string,
  classes: readonly (string | null)[],
) {
  const sums = classes.map((label) => ({
    labels: (label === null ? {} : { class: label }) as Record<string, string>,
    counts: new Array<number>(durationBuckets).fill(0),
    seconds: 0,
  }));
  const full = `lockstep_edge_${name}`;
  register(registry, name, help, 'histogram', () =>
    sums.flatMap(({ labels, counts, seconds }) => {
      const values: Value[] = [];
      let below = 0;
      for (const [bucket, count] of counts.entries()) {
        below += count;
        // What is longer than all is in the last one.
        if (bucket % shownEvery !== 0 || bucket === durationBuckets - 1) continue;
        const le = Number((durationBoundMs(bucket) / 1_000).toPrecision(3));
        values.push({ metricName: `${full}_bucket`, labels: { ...labels, le }, value: below });
      }
      return [
        ...values,
        { metricName: `${full}_bucket`, labels: { ...labels, le: '+Inf' }, value: below },
        { metricName: `${full}_sum`, labels, value: seconds },
        { metricName: `${full}_count`, labels, value: below },
      ];
    }),
  );
  return {
    add(i: number, now: DurationFigures, before: DurationFigures | undefined): void {
      const sum = sums[i]!;
      for (const [bucket, times] of now.durations.entries())
        sum.counts[bucket]! += times - (before?.durations[bucket] ?? 0);
      sum.seconds += now.seconds - (before?.seconds ?? 0);
    },
  };
}

function register(
  registry: InstanceType<typeof Registry>,
  name: string,
  help: string,
  type: 'counter' | 'histogram',
  values: () => Value[],
): void {
  const full = `lockstep_edge_${name}`;
  registry.registerMetric({
    name: full,
    get: async () => ({ name: full, help, type, values: values(), aggregator: 'sum' }),
    reset() {},
  } as never);
}
