import { type AccessLog, durationBucket, durationBuckets, type Traffic } from '@lockstep/contract';
import type { Counts, RequestFigures } from '../../engine/figures.ts';
import { requestClasses, statusClasses } from '../../engine/figures.ts';
import type { ExchangeWatch } from '../http/exchange-watch.ts';
import type { AccessLogWriter } from './access-log.ts';
import { createBusiestHosts } from './busiest-hosts.ts';
import { createTrafficTable } from './traffic-table.ts';

const hostsTold = 100;

export interface ObserverOptions {
  accessLog: AccessLogWriter;
}

/** What is seen from outside of the answers of a worker: counts, durations, the traffic of routes, the access log. */
export interface Observer {
  /** Null where nothing is kept of a request before its answer. */
  readonly onRequest: ((watch: ExchangeWatch) => void) | null;
  onAnswer(watch: ExchangeWatch, statusCode: number): void;
  readonly answers: Counts;
  figures(): RequestFigures;
  /** Of each of `trafficMinutes`. */
  traffic(route: string): Traffic[];
  configure(accessLog: AccessLog | null): void;
  reopen(): void;
  close(): Promise<void>;
}

export function createObserver({ accessLog }: ObserverOptions): Observer {
  const answers: Record<string, number> = {};
  const hosts = createBusiestHosts();
  const table = createTrafficTable();
  const classes = requestClasses.map((name) => ({
    name,
    statuses: statusClasses.map(() => 0),
    durations: new Array<number>(durationBuckets).fill(0),
    seconds: 0,
  }));
  const firstBytes = { durations: new Array<number>(durationBuckets).fill(0), seconds: 0 };

  return {
    get onRequest() {
      return accessLog.onRequest;
    },
    onAnswer(watch, statusCode) {
      const now = performance.now();
      const ms = now - watch.startedAt;
      // Beyond 599 a status stands for a 5xx (RFC 9110, section 15).
      const at = Math.min(Math.trunc(statusCode / 100), 5);
      const status = statusClasses[at]!;
      answers[status] = (answers[status] ?? 0) + 1;
      const { route, forwarded } = watch;
      const one = classes[classOf(route)]!;
      one.statuses[at]! += 1;
      one.durations[durationBucket(ms)]! += 1;
      one.seconds += ms / 1_000;
      const headAt = watch.exchange?.upstreamRequest?.headAt ?? 0;
      if (headAt !== 0) {
        const headMs = headAt - watch.exchange!.upstreamRequest!.sentAt;
        firstBytes.durations[durationBucket(headMs)]! += 1;
        firstBytes.seconds += headMs / 1_000;
      }
      if (route !== null) {
        const failed = statusCode >= 500;
        hosts.count(forwarded!.host, failed);
        table.count(route.id, now, ms, failed, watch.bytesIn, watch.bytesOut);
      }
      accessLog.write?.(watch, statusCode, now);
    },
    answers,
    figures: () => ({
      classes: classes.map(({ name, statuses, durations, seconds }) => ({
        name,
        statuses: [...statuses],
        durations: [...durations],
        seconds,
      })),
      firstBytes: { durations: [...firstBytes.durations], seconds: firstBytes.seconds },
      hosts: hosts.top(hostsTold),
      linesDropped: accessLog.dropped,
    }),
    traffic: (route) => table.of(route, performance.now()),
    configure: accessLog.configure,
    reopen: accessLog.reopen,
    close: accessLog.close,
  };
}

/** Its place among `requestClasses`. */
function classOf(route: ExchangeWatch['route']): number {
  if (route === null) return 3;
  const { record } = route;
  if (record.redirect !== undefined) return 1;
  return record.upstreams === undefined ? 2 : 0;
}
