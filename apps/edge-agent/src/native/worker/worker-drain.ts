import { setTimeout as delay } from 'node:timers/promises';
import type { Forwarder } from '../http/forwarder.ts';
import type { HttpListener } from '../http/http-listener.ts';
import type { HttpsListener } from '../http/https-listener.ts';
import type { HeldHandshakes } from '../on-demand/held-handshakes.ts';

/** A request that is on its way when its connection is told to end is still answered. */
const idleGraceMs = 1_000;
const lookIntervalMs = 20;

export interface DrainOptions {
  /** Connections end by themselves, websockets too: nothing waits for the worker. */
  patient: boolean;
  limitMs: number;
}

export interface WorkerDrainOptions {
  https: Pick<HttpsListener, 'setDrained' | 'stopAccepting' | 'connections' | 'accepted'>;
  http: Pick<HttpListener, 'setDrained' | 'stopAccepting' | 'accepted'>;
  forwarder: Pick<Forwarder, 'endConnections' | 'inFlight' | 'tunnels'>;
  held: Pick<HeldHandshakes, 'refuseAll'>;
  /** Breaks off what is left, and gives everything back. */
  end(): Promise<void>;
}

/** How the connections of a worker are led to their end. */
export interface WorkerDrain {
  /** No new traffic is wanted. */
  readonly isDrained: boolean;
  /** While drained, connections are told to end after their next request, and new ones are served all the same. */
  setDrained(drained: boolean): void;
  /**
   * Takes no more connections, and resolves when nothing is in flight any more, or after the time-out with the rest broken off. Called again,
   * it goes by what was said last.
   */
  drain(how: DrainOptions): Promise<void>;
}

interface Draining extends DrainOptions {
  since: number;
  until: number;
}

export function createWorkerDrain({ https, http, forwarder, held, end }: WorkerDrainOptions): WorkerDrain {
  let isDrained = false;
  let draining: Draining | null = null;
  let ended: Promise<void> | null = null;

  function setDrained(now: boolean): void {
    isDrained = now;
    https.setDrained(now);
    http.setDrained(now);
    if (now) forwarder.endConnections();
  }

  async function run(how: Draining): Promise<void> {
    setDrained(true);
    https.stopAccepting();
    http.stopAccepting();
    while (Date.now() < how.until && (await isOpen(how))) await delay(lookIntervalMs);
    await end();
  }

  /** Whether there is something to wait for. Who is still shaking hands is about to ask. */
  async function isOpen({ patient, since }: Draining): Promise<boolean> {
    if (!patient) held.refuseAll();
    if (forwarder.inFlight > 0) return true;
    const open = (await https.accepted()) + (await http.accepted());
    if (patient) return open > 0;
    return open > forwarder.tunnels && Date.now() < since + idleGraceMs;
  }

  return {
    get isDrained() {
      return isDrained;
    },
    setDrained(now) {
      // Of one that ends there is no way back.
      if (draining === null) setDrained(now);
    },
    drain(how) {
      const now = Date.now();
      if (draining === null) draining = { ...how, since: now, until: now + how.limitMs };
      else Object.assign(draining, how, { until: Math.min(draining.until, now + how.limitMs) });
      ended ??= run(draining);
      return ended;
    },
  };
}
