import {
  AppError,
  type Boundary,
  type Position,
  type Refusal,
  sumOfTraffic,
  type Traffic,
} from '@lockstep/contract';
import type { Logger } from 'pino';
import type { Asker, Asks } from '../../engine/engine.ts';
import type { EngineFigures } from '../../engine/figures.ts';
import type { HealthWatcher, UpstreamHealth } from '../../engine/upstream-health.ts';
import type { Feed } from '../../feed/feed.ts';
import { serveFeed } from '../../feed/serve-feed.ts';
import type { FromWorker, ToWorker, WorkerSettings } from '../worker/worker-message.ts';
import { appliedByAll, isBehind, refusedByAny } from './in-force.ts';
import type { ListeningSockets } from './listening-sockets.ts';
import { createWorkerAnswers } from './worker-answers.ts';
import { startWorkerProcess, type WorkerProcess, workerSockets } from './worker-process.ts';

/** A worker that lived shorter than this did not last. The first that do not are replaced at once, later ones after a pause. */
const shortLifeMs = 5_000;
const replacedAtOnce = 3;
const firstPauseMs = 100;
const longestPauseMs = 10_000;
const defaultBeatMs = 1_000;
/** Of one place: a websocket may keep each of them for long, and each takes the memory of a worker. */
const mostRetired = 2;

export interface WorkerPoolOptions {
  count: number;
  settings: Omit<WorkerSettings, 'listenAtOnce' | 'sockets' | 'drained' | 'health'>;
  /** Null: each worker binds the ports itself, which takes one worker alone. */
  sockets: ListeningSockets | null;
  feed: Pick<Feed, 'follow'>;
  /** Whether there is a configuration that a new worker can wait for. */
  hasConfiguration(): boolean;
  /** Hears of the unknown hosts that workers hold handshakes for. */
  asks: Asks;
  /** Says how the upstreams are that workers choose among. */
  health: UpstreamHealth;
  log: Logger;
  boundary: Boundary;
  onChange(): void;
  /** How often workers are asked for a sign of life. Default 1 s; one that misses 3 does not count, after 10 it is killed. */
  beatMs?: number;
}

/** The worker processes of an edge. One that dies, or hangs, is replaced. */
export interface WorkerPool {
  /** Resolves when all are listening; rejects with `bad_configuration` when one cannot. */
  start(): Promise<void>;
  /**
   * Replaces the workers one by one: the next takes connections with all that is in force before the one before takes no more. That one
   * goes on with the connections it has until they end, `config.reloadTimeoutMs` at most. Called again meanwhile, it is one more round.
   * Rejects with `wrong_state` when a worker cannot be replaced: those before it were, and the others go on.
   */
  reload(): Promise<void>;
  /** While drained, connections are told to end after their next request, and new ones are served all the same. */
  setDrained(drained: boolean): void;
  /** Workers that listen, have a configuration, and have answered their last beats. */
  readonly ready: number;
  readonly hung: number;
  readonly restarts: number;
  /** How many were killed as they hung. */
  readonly kills: number;
  readonly pids: number[];
  /** The position of the listening worker that is furthest behind; null without any, and while one has none or is hung. */
  applied(): Position | null;
  refusals(): Refusal[];
  /** There is no configuration to wait for any more: those that do bind the ports without one. */
  listen(): void;
  /** Of each worker that answers in time, by process id. */
  figures(): Promise<Map<number, EngineFigures>>;
  /** What the workers served of a route, of each of `trafficMinutes`. */
  traffic(route: string): Promise<Traffic[]>;
  reopenLogs(): void;
  /** Resolves when all have drained and are gone; they are killed when they take too long. */
  drain(): Promise<void>;
}

/** Where a worker runs, and after it the one that replaces it. */
interface Place {
  index: number;
  worker: WorkerProcess | null;
  /** Is to replace it, once it serves. */
  coming: WorkerProcess | null;
  /** Were replaced by a reload, and go on with the connections they have; the oldest first. */
  retired: Set<WorkerProcess>;
  bornAt: number;
  /** Workers in a row that did not last. */
  shortLives: number;
}

export function createWorkerPool(options: WorkerPoolOptions): WorkerPool {
  const { count, settings, sockets, feed, asks, health, log, boundary, onChange } = options;
  const places: Place[] = Array.from({ length: count }, (_, index) => ({
    index,
    worker: null,
    coming: null,
    retired: new Set(),
    bornAt: 0,
    shortLives: 0,
  }));
  const answers = createWorkerAnswers();
  const replacements = new Set<NodeJS.Timeout>();
  let restarts = 0;
  let kills = 0;
  let stopping = false;
  let drained = false;
  let drainedAll: Promise<void> | null = null;
  let reloading: Promise<void> = Promise.resolve();
  const waiting = new Set<() => void>();
  const drainNow: ToWorker = { worker: 'drain', patient: false, limitMs: settings.config.drainTimeoutMs };
  let started: { resolve(): void; reject(error: AppError): void } | null = null;
  let beating: NodeJS.Timeout | undefined;

  /** Throws where no process can be started. */
  function startAt(place: Place): WorkerProcess {
    const asker: Asker & HealthWatcher = {
      refuse: (host, client) => worker.send({ worker: 'refuse', host, client }),
      tell: (verdicts) => worker.send({ worker: 'health', verdicts }),
    };
    const worker = startWorkerProcess({
      sockets: sockets?.pairs[place.index] ?? null,
      log,
      boundary,
      onMessage: (message) => receive(asker, message, worker),
      onChange: changed,
      onKill() {
        kills += 1;
      },
      onExit(code, signal) {
        asks.gone(asker);
        health.gone(asker);
        onEnd(place, worker, { pid: worker.child.pid, code, signal });
      },
    });
    serveFeed(worker.child, feed, log);
    worker.send({
      worker: 'start',
      settings: {
        ...settings,
        sockets: sockets === null ? null : workerSockets,
        listenAtOnce: !options.hasConfiguration(),
        drained,
        health: health.verdicts(),
      },
    });
    return worker;
  }

  function spawn(place: Place): void {
    if (place.worker !== null) return; // the next of a reload took the place meanwhile
    place.bornAt = Date.now();
    try {
      place.worker = startAt(place);
    } catch (error) {
      log.error({ err: error }, 'a worker cannot be started');
      onDeath(place, {});
    }
  }

  function changed(): void {
    for (const look of waiting) look();
    onChange();
  }

  /** Resolves once the worker serves at least what `before` has in force; false when it ends before that. */
  function serves(place: Place, coming: WorkerProcess, before: WorkerProcess | null): Promise<boolean> {
    return new Promise((resolve) => {
      function look(): void {
        const gone = place.coming !== coming;
        if (
          !gone &&
          (!coming.listening || coming.hung || isBehind(coming.position, before?.position ?? null))
        )
          return;
        waiting.delete(look);
        resolve(!gone);
      }
      waiting.add(look);
      look();
    });
  }

  function startAnother(place: Place): WorkerProcess {
    try {
      return startAt(place);
    } catch (cause) {
      const detail = `a new worker cannot be started: ${(cause as Error).message}`;
      throw new AppError('wrong_state', `${detail}; the one before it goes on`, { cause });
    }
  }

  async function replace(place: Place): Promise<void> {
    const before = place.worker;
    if (before === null) return; // it died, and another one is on its way
    const coming = startAnother(place);
    place.coming = coming;
    place.bornAt = Date.now();
    if (!(await serves(place, coming, before))) {
      if (stopping) throw new AppError('shutting_down', 'the edge stops');
      throw new AppError('wrong_state', 'a new worker ended before it served; the one before it goes on');
    }
    place.coming = null;
    const replaced = place.worker;
    place.worker = coming;
    if (replaced !== null) retire(place, replaced);
    changed();
  }

  function retire(place: Place, worker: WorkerProcess): void {
    place.retired.add(worker);
    worker.send({ worker: 'drain', patient: true, limitMs: settings.config.reloadTimeoutMs });
    const [oldest] = place.retired;
    if (place.retired.size > mostRetired) oldest!.send(drainNow);
  }

  function receive(
    asker: Asker & HealthWatcher,
    message: Exclude<FromWorker, { worker: 'beat' | 'status' }>,
    from: WorkerProcess,
  ): void {
    if (message.worker === 'listening') {
      if (places.every(({ worker }) => worker?.listening)) started?.resolve();
      changed();
    } else if (message.worker === 'figures' || message.worker === 'traffic') {
      answers.receive(message, from);
    } else if (message.worker === 'ask') {
      asks.ask(asker, message.host, message.client);
    } else if (message.worker === 'enough') {
      asks.enough(asker, message.host);
    } else if (message.worker === 'took') {
      for (const worker of running())
        if (worker !== from) worker.send({ worker: 'took', taken: message.taken });
    } else if (message.worker === 'watch') {
      health.watch(asker, message.added);
      health.unwatch(asker, message.dropped);
    } else if (message.worker === 'failing') {
      health.failed(asker, message.key, message.reason);
    } else if (message.worker === 'failed') {
      log.error({ detail: message.detail }, 'a worker cannot start');
      started?.reject(new AppError('bad_configuration', message.detail));
    }
  }

  function onEnd(place: Place, worker: WorkerProcess, facts: object): void {
    if (place.retired.delete(worker)) log.info(facts, 'a worker that was replaced has ended');
    else if (place.coming === worker) place.coming = null;
    else if (place.worker === worker) {
      place.worker = null;
      onDeath(place, facts);
      return;
    }
    changed();
  }

  function onDeath(place: Place, facts: object): void {
    if (stopping) return;
    restarts += 1;
    place.shortLives = Date.now() - place.bornAt < shortLifeMs ? place.shortLives + 1 : 0;
    const pauses = place.shortLives - replacedAtOnce;
    const delayMs = pauses < 0 ? 0 : Math.min(firstPauseMs * 2 ** pauses, longestPauseMs);
    log.warn({ ...facts, delayMs }, 'a worker died and is replaced');
    const timer = setTimeout(
      boundary.guard('replace', () => {
        replacements.delete(timer);
        if (!stopping) spawn(place);
      }),
      delayMs,
    );
    replacements.add(timer);
    changed();
  }

  /** Those of which each place has one. */
  function current(): WorkerProcess[] {
    return places.map(({ worker }) => worker).filter((worker) => worker !== null);
  }

  /** All that may answer requests, or soon will. */
  function running(): WorkerProcess[] {
    return places.flatMap(({ worker, coming, retired }) =>
      [worker, coming, ...retired].filter((one) => one !== null),
    );
  }

  return {
    async start() {
      const all = new Promise<void>((resolve, reject) => {
        started = { resolve, reject };
      });
      for (const place of places) spawn(place);
      beating = setInterval(
        boundary.guard('beat', () => {
          for (const worker of running()) worker.beat();
        }),
        options.beatMs ?? defaultBeatMs,
      );
      await all;
      started = null;
    },
    reload() {
      const round = reloading.then(async () => {
        for (const place of places) {
          if (stopping) throw new AppError('shutting_down', 'the edge stops');
          await replace(place);
        }
        log.info({ workers: places.length }, 'the workers were replaced');
      });
      reloading = round.catch((error) => log.error({ err: error }, 'the workers were not all replaced'));
      return round;
    },
    setDrained(now) {
      drained = now;
      for (const worker of running()) worker.send({ worker: 'drained', drained });
    },
    get ready() {
      return current().filter(({ listening, hung, position }) => listening && !hung && position !== null)
        .length;
    },
    get hung() {
      return current().filter(({ hung }) => hung).length;
    },
    get restarts() {
      return restarts;
    },
    get kills() {
      return kills;
    },
    get pids() {
      return current().map(({ child }) => child.pid!);
    },
    applied: () => appliedByAll(running()),
    refusals: () => refusedByAny(running()),
    listen() {
      for (const worker of running()) if (!worker.listening) worker.send({ worker: 'listen' });
    },
    figures: () => answers.figures(running()),
    async traffic(route) {
      const told = await answers.ask<Traffic[]>(running(), (id) => ({ worker: 'traffic', id, route }));
      return sumOfTraffic([...told.values()]);
    },
    reopenLogs() {
      for (const worker of running()) worker.send({ worker: 'reopenLogs' });
    },
    drain() {
      drainedAll ??= drainAll();
      return drainedAll;
    },
  };

  async function drainAll(): Promise<void> {
    stopping = true;
    clearInterval(beating);
    for (const timer of replacements) clearTimeout(timer);
    // Before the workers close theirs: new connections are refused then, instead of waiting for nobody.
    sockets?.close();
    await Promise.all(
      running().map((worker) => {
        const { child } = worker;
        if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
        return new Promise<void>((resolve) => {
          const timer = setTimeout(() => child.kill('SIGKILL'), settings.config.drainTimeoutMs + 1_000);
          child.on('exit', () => {
            clearTimeout(timer);
            resolve();
          });
          worker.send(drainNow);
        });
      }),
    );
  }
}
