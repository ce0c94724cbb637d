import {
  AppError,
  type Boundary,
  type Position,
  type Refusal,
  sumOfTraffic,
  type Traffic,
} from '@lockstep/contract';
import type { Logger } from 'pino';
import type { Asks } from '../../engine/engine.ts';
import type { EngineFigures } from '../../engine/figures.ts';
import type { UpstreamHealth } from '../../engine/upstream-health.ts';
import type { Feed } from '../../feed/feed.ts';
import { serveFeed } from '../../feed/serve-feed.ts';
import type { FromWorker, ToWorker, WorkerSettings } from '../worker/worker-message.ts';
import { appliedByAll, isBehind, refusedByAny } from './in-force.ts';
import type { ListeningSockets } from './listening-sockets.ts';
import { createWorkerAnswers } from './worker-answers.ts';
import { WorkerPlace } from './worker-place.ts';
import { startWorkerProcess, type WorkerProcess, workerSockets } from './worker-process.ts';
import { createWorkerQuestions, type WorkerQuestions } from './worker-questions.ts';

const defaultBeatMs = 1_000;

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

export function createWorkerPool(options: WorkerPoolOptions): WorkerPool {
  const { count, settings, sockets, feed, asks, health, log, boundary, onChange } = options;
  const places = Array.from({ length: count }, (_, index) => new WorkerPlace(index));
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
  function startAt(place: WorkerPlace): WorkerProcess {
    const questions = createWorkerQuestions({ asks, health, send: (message) => worker.send(message) });
    const worker = startWorkerProcess({
      sockets: sockets?.pairs[place.index] ?? null,
      log,
      boundary,
      onMessage: (message) => receive(message, worker, questions),
      onChange: changed,
      onKill() {
        kills += 1;
      },
      onExit(code, signal) {
        questions.close();
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

  function spawn(place: WorkerPlace): void {
    if (place.worker !== null) return; // the next of a reload took the place meanwhile
    place.onBirth();
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
  function serves(place: WorkerPlace, coming: WorkerProcess, before: WorkerProcess | null): Promise<boolean> {
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

  function startAnother(place: WorkerPlace): WorkerProcess {
    try {
      return startAt(place);
    } catch (cause) {
      const detail = `a new worker cannot be started: ${(cause as Error).message}`;
      throw new AppError('wrong_state', `${detail}; the one before it goes on`, { cause });
    }
  }

  async function replace(place: WorkerPlace): Promise<void> {
    const before = place.worker;
    if (before === null) return; // it died, and another one is on its way
    const coming = startAnother(place);
    place.coming = coming;
    place.onBirth();
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

  function retire(place: WorkerPlace, worker: WorkerProcess): void {
    worker.send({ worker: 'drain', patient: true, limitMs: settings.config.reloadTimeoutMs });
    place.retire(worker)?.send(drainNow);
  }

  function receive(
    message: Exclude<FromWorker, { worker: 'beat' | 'status' }>,
    from: WorkerProcess,
    questions: WorkerQuestions,
  ): void {
    if (message.worker === 'listening') {
      if (places.every(({ worker }) => worker?.listening)) started?.resolve();
      changed();
    } else if (message.worker === 'figures' || message.worker === 'traffic') {
      answers.receive(message, from);
    } else if (message.worker === 'took') {
      for (const worker of running())
        if (worker !== from) worker.send({ worker: 'took', taken: message.taken });
    } else if (message.worker === 'failed') {
      log.error({ detail: message.detail }, 'a worker cannot start');
      started?.reject(new AppError('bad_configuration', message.detail));
    } else {
      questions.receive(message);
    }
  }

  function onEnd(place: WorkerPlace, worker: WorkerProcess, facts: object): void {
    const was = place.remove(worker);
    if (was === 'worker') {
      onDeath(place, facts);
      return;
    }
    if (was === 'retired') log.info(facts, 'a worker that was replaced has ended');
    changed();
  }

  function onDeath(place: WorkerPlace, facts: object): void {
    if (stopping) return;
    restarts += 1;
    const delayMs = place.pauseMs();
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
    return places.flatMap(({ all }) => all);
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
      running().map((worker) => worker.end(drainNow, settings.config.drainTimeoutMs + 1_000)),
    );
  }
}
