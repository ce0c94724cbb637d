import { AppError, type Boundary, type Position, type Refusal } from '@lockstep/contract';
import type { Logger } from 'pino';
import type { Asker, Asks } from '../../engine/engine.ts';
import type { EngineFigures } from '../../engine/figures.ts';
import type { Feed } from '../../feed/feed.ts';
import { serveFeed } from '../../feed/serve-feed.ts';
import type { FromWorker, WorkerSettings } from '../worker/worker-message.ts';
import type { ListeningSockets } from './listening-sockets.ts';
import { startWorkerProcess, type WorkerProcess, workerSockets } from './worker-process.ts';

/** A worker that lived shorter than this did not last. The first that do not are replaced at once, later ones after a pause. */
const shortLifeMs = 5_000;
const replacedAtOnce = 3;
const firstPauseMs = 100;
const longestPauseMs = 10_000;
const figuresTimeoutMs = 1_000;
const defaultBeatMs = 1_000;

export interface WorkerPoolOptions {
  count: number;
  settings: Omit<WorkerSettings, 'listenAtOnce' | 'sockets'>;
  /** Null: each worker binds the ports itself, which takes one worker alone. */
  sockets: ListeningSockets | null;
  feed: Pick<Feed, 'follow'>;
  /** Whether there is a configuration that a new worker can wait for. */
  hasConfiguration(): boolean;
  /** Hears of the unknown hosts that workers hold handshakes for. */
  asks: Asks;
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
  /** Resolves when all have drained and are gone; they are killed when they take too long. */
  drain(): Promise<void>;
}

/** Where a worker runs, and after it the one that replaces it. */
interface Place {
  index: number;
  worker: WorkerProcess | null;
  bornAt: number;
  /** Workers in a row that did not last. */
  shortLives: number;
}

export function createWorkerPool(options: WorkerPoolOptions): WorkerPool {
  const { count, settings, sockets, feed, asks, log, boundary, onChange } = options;
  const places: Place[] = Array.from({ length: count }, (_, index) => ({
    index,
    worker: null,
    bornAt: 0,
    shortLives: 0,
  }));
  const asked = new Map<number, (figures: EngineFigures) => void>();
  const replacements = new Set<NodeJS.Timeout>();
  let askId = 0;
  let restarts = 0;
  let kills = 0;
  let stopping = false;
  let started: { resolve(): void; reject(error: AppError): void } | null = null;
  let beating: NodeJS.Timeout | undefined;

  function spawn(place: Place): void {
    const asker: Asker = {
      refuse: (host, client) => place.worker?.send({ worker: 'refuse', host, client }),
    };
    place.bornAt = Date.now();
    try {
      const worker = startWorkerProcess({
        sockets: sockets?.pairs[place.index] ?? null,
        log,
        boundary,
        onMessage: (message) => receive(asker, message, place.worker),
        onChange,
        onKill() {
          kills += 1;
        },
        onExit(code, signal) {
          asks.gone(asker);
          place.worker = null;
          onExit(place, { pid: worker.child.pid, code, signal });
        },
      });
      place.worker = worker;
      serveFeed(worker.child, feed, log);
      worker.send({
        worker: 'start',
        settings: {
          ...settings,
          sockets: sockets === null ? null : workerSockets,
          listenAtOnce: !options.hasConfiguration(),
        },
      });
    } catch (error) {
      log.error({ err: error }, 'a worker cannot be started');
      if (place.worker === null) onExit(place, {});
    }
  }

  function receive(
    asker: Asker,
    message: Exclude<FromWorker, { worker: 'beat' | 'status' }>,
    from: WorkerProcess | null,
  ): void {
    if (message.worker === 'listening') {
      if (places.every(({ worker }) => worker?.listening)) started?.resolve();
      onChange();
    } else if (message.worker === 'figures') {
      asked.get(message.id)?.(message.figures);
    } else if (message.worker === 'ask') {
      asks.ask(asker, message.host, message.client);
    } else if (message.worker === 'enough') {
      asks.enough(asker, message.host);
    } else if (message.worker === 'took') {
      for (const worker of running())
        if (worker !== from) worker.send({ worker: 'took', taken: message.taken });
    } else if (message.worker === 'failed') {
      log.error({ detail: message.detail }, 'a worker cannot start');
      started?.reject(new AppError('bad_configuration', message.detail));
    }
  }

  function onExit(place: Place, facts: object): void {
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
    onChange();
  }

  function running(): WorkerProcess[] {
    return places.map(({ worker }) => worker).filter((worker) => worker !== null);
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
    get ready() {
      return running().filter(({ listening, hung, position }) => listening && !hung && position !== null)
        .length;
    },
    get hung() {
      return running().filter(({ hung }) => hung).length;
    },
    get restarts() {
      return restarts;
    },
    get kills() {
      return kills;
    },
    get pids() {
      return running().map(({ child }) => child.pid!);
    },
    applied() {
      let lowest: Position | null = null;
      for (const { listening, hung, position } of running()) {
        if (!listening) continue;
        // It takes connections, and has nothing to answer them with: a challenge must not count as placed yet.
        if (position === null || hung) return null;
        // Between two epochs there is no order: while workers change over, the edge as a whole has applied neither.
        if (lowest !== null && lowest.epoch !== position.epoch) return null;
        // Nor between two histories of one epoch, which a store that went back has.
        if (lowest?.number === position.number && lowest.commitId !== position.commitId) return null;
        if (lowest === null || position.number < lowest.number) lowest = position;
      }
      return lowest;
    },
    refusals() {
      const merged = new Map<string, Refusal>();
      for (const { refusals } of running()) {
        for (const refusal of refusals) merged.set(`${refusal.kind}/${refusal.id}`, refusal);
      }
      return [...merged.values()];
    },
    listen() {
      for (const worker of running()) if (!worker.listening) worker.send({ worker: 'listen' });
    },
    async figures() {
      const answers = new Map<number, EngineFigures>();
      await Promise.all(
        running().map((worker) => {
          askId += 1;
          const id = askId;
          return new Promise<void>((resolve) => {
            const done = () => {
              clearTimeout(timer);
              asked.delete(id);
              resolve();
            };
            const timer = setTimeout(done, figuresTimeoutMs);
            asked.set(id, (figures) => {
              answers.set(worker.child.pid!, figures);
              done();
            });
            worker.send({ worker: 'figures', id });
          });
        }),
      );
      return answers;
    },
    async drain() {
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
            worker.send({ worker: 'drain' });
          });
        }),
      );
    },
  };
}
