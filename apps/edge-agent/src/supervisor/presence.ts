import {
  AppError,
  type Boundary,
  heartbeatIntervalMs,
  isAppError,
  type NodeReport,
  nodeLostAfterMs,
  type Position,
  samePosition,
} from '@lockstep/contract';
import type { Logger } from 'pino';
import type { Feed } from '../feed/feed.ts';

const retryRefusedMs = 1_000;
/** A predecessor that was lost is forgotten by then; one that is not is alive. */
const giveUpAfterMs = nodeLostAfterMs + 2_000;
const leaveTimeoutMs = 1_000;
const defaultPassingMs = 250;

export interface PresenceOptions {
  feed: Pick<Feed, 'report' | 'leave'>;
  makeReport(): NodeReport;
  /** Whether the commits since had nothing for this edge, as far as they are known: whoever stands there serves all there is. */
  nothingSince(position: Position): boolean;
  log: Logger;
  boundary: Boundary;
  /** How long it may stay untold that commits were passed which had nothing for this edge: nobody waits for that. Default 250 ms. */
  passingMs?: number;
  /** Another live process runs under this node id. */
  onFatal(error: AppError): void;
}

/** Keeps the edge known as live, and acknowledges what it has applied. */
export interface Presence {
  start(): void;
  /**
   * Something changed: reports at once, or as soon as the report under way is through. Where nothing did but that commits were passed
   * which had nothing for this edge, a moment later, or with what comes before.
   */
  changed(): void;
  /** Takes the presence back; that of an edge that `returns` stays expected. */
  leave(stop: { returns: boolean }): Promise<void>;
}

export function createPresence(options: PresenceOptions): Presence {
  const { feed, makeReport, nothingSince, log, boundary, onFatal } = options;
  const { passingMs = defaultPassingMs } = options;
  let timer: NodeJS.Timeout | undefined;
  let reporting: Promise<void> | null = null;
  let dirty = false;
  let refusedSince: number | null = null;
  let failing = false;
  let active = false;
  /** What the store knows, whenever it was told. */
  let told: Told | null = null;
  /** A moment later there is a report, whatever comes. */
  let waiting = false;

  function next(delayMs: number): void {
    clearTimeout(timer);
    if (active) timer = setTimeout(boundary.guard('report', beat), delayMs);
  }

  /** That it is alive is told also where nothing changed. */
  function beat(): void {
    told = null;
    report();
  }

  function report(): void {
    if (!active || reporting !== null) return;
    dirty = false;
    reporting = send().finally(() => {
      reporting = null;
      if (dirty && refusedSince === null && !failing) report();
    });
  }

  async function send(): Promise<void> {
    try {
      const report = makeReport();
      const news = toldBy(report);
      if (told?.rest === news.rest) {
        if (isSame(told.applied, news.applied)) return;
        if (onlyPassed(told.applied, news.applied)) {
          if (!waiting) next(passingMs);
          waiting = true;
          return;
        }
      }
      told = null;
      waiting = false;
      await feed.report(report);
      told = news;
      if (failing) log.info('reports reach the store again');
      failing = false;
      refusedSince = null;
      next(heartbeatIntervalMs);
    } catch (error) {
      if (isAppError(error, 'node_id_taken')) {
        refused();
        return;
      }
      if (!failing) log.warn({ err: error }, 'a report did not reach the store');
      failing = true;
      next(heartbeatIntervalMs);
    }
  }

  function onlyPassed(before: Position | null, now: Position | null): boolean {
    if (before === null || now === null) return false;
    return before.epoch === now.epoch && before.number < now.number && nothingSince(before);
  }

  function refused(): void {
    const { node } = makeReport();
    if (refusedSince === null)
      log.warn('another process reported under this node id; waiting for it to be lost');
    refusedSince ??= Date.now();
    if (Date.now() - refusedSince < giveUpAfterMs) {
      next(retryRefusedMs);
      return;
    }
    active = false;
    onFatal(
      new AppError('node_id_taken', `another live edge runs under the node id "${node}"; give each its own`),
    );
  }

  return {
    start() {
      active = true;
      report();
    },
    changed() {
      dirty = true;
      report();
    },
    async leave(stop) {
      if (!active) return;
      active = false;
      clearTimeout(timer);
      await reporting;
      const { node, instance } = makeReport();
      let timeout: NodeJS.Timeout | undefined;
      await Promise.race([
        feed.leave(node, instance, stop).catch(() => {}),
        new Promise((resolve) => {
          timeout = setTimeout(resolve, leaveTimeoutMs);
        }),
      ]);
      clearTimeout(timeout);
    },
  };
}

/** What a report tells: how far the edge is, and all else. */
interface Told {
  applied: Position | null;
  rest: string;
}

function isSame(one: Position | null, other: Position | null): boolean {
  return one === null || other === null ? one === other : samePosition(one, other);
}

function toldBy(report: NodeReport): Told {
  return { applied: report.applied, rest: JSON.stringify({ ...report, applied: null, clock: null }) };
}
