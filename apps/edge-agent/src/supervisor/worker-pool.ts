import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { AppError, type Position, type Refusal } from '@lockstep/contract';
import type { Logger } from 'pino';
import type { Feed } from '../feed/feed.ts';
import { serveFeed } from '../feed/serve-feed.ts';
import type {
  FromWorker,
  ToWorker,
  WorkerFigures,
  WorkerSettings,
  WorkerStatus,
} from '../worker/worker-message.ts';
import type { Asker, Asks } from './asks.ts';

const entry = fileURLToPath(new URL('../worker/main.ts', import.meta.url));
/** A worker that lived shorter than this is replaced after a pause, which doubles each time. */
const shortLifeMs = 5_000;
const firstPauseMs = 100;
const longestPauseMs = 10_000;
const figuresTimeoutMs = 1_000;

export interface WorkerPoolOptions {
  count: number;
  settings: Omit<WorkerSettings, 'listenAtOnce'>;
  feed: Pick<Feed, 'follow'>;
  /** Whether there is a configuration that a new worker can wait for. */
  hasConfiguration(): boolean;
  /** Hears of the unknown hosts that workers hold handshakes for. */
  asks: Pick<Asks, 'ask' | 'enough' | 'gone'>;
  log: Logger;
  onChange(): void;
}

/** The worker processes of an edge. One that dies is replaced. */
export interface WorkerPool {
  /** Resolves when all are listening; rejects with `bad_configuration` when one cannot. */
  start(): Promise<void>;
  readonly ready: number;
  readonly restarts: number;
  readonly pids: number[];
  /** The position of the listening worker that is furthest behind; null without any, and while one has none. */
  applied(): Position | null;
  refusals(): Refusal[];
  /** Of each worker that answers in time, by process id. */
  figures(): Promise<Map<number, WorkerFigures>>;
  /** Resolves when all have drained and are gone; they are killed when they take too long. */
  drain(): Promise<void>;
}

interface Slot {
  child: ChildProcess;
  bornAt: number;
  pauseMs: number;
  listening: boolean;
  status: WorkerStatus;
  asker: Asker;
}

export function createWorkerPool(options: WorkerPoolOptions): WorkerPool {
  const { count, settings, feed, asks, log, onChange } = options;
  const slots = new Set<Slot>();
  const asked = new Map<number, (figures: WorkerFigures) => void>();
  const replacements = new Set<NodeJS.Timeout>();
  let askId = 0;
  let restarts = 0;
  let stopping = false;
  let started: { resolve(): void; reject(error: AppError): void } | null = null;

  function send(child: ChildProcess, message: ToWorker): void {
    if (child.connected) child.send(message, () => {});
  }

  function spawn(pauseMs: number): void {
    const child = fork(entry, {
      serialization: 'advanced',
      execArgv: [],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const slot: Slot = {
      child,
      bornAt: Date.now(),
      pauseMs,
      listening: false,
      status: { position: null, refusals: [] },
      asker: { refuse: (host, client) => send(child, { worker: 'refuse', host, client }) },
    };
    slots.add(slot);
    serveFeed(child, feed, log);
    child.on('message', (message: FromWorker | { worker?: undefined }) => receive(slot, message));
    child.on('error', (error) => log.error({ err: error }, 'a worker process failed'));
    child.on('exit', (code, signal) => onExit(slot, code, signal));
    send(child, {
      worker: 'start',
      settings: { ...settings, listenAtOnce: !options.hasConfiguration() },
    });
  }

  function receive(slot: Slot, message: FromWorker | { worker?: undefined }): void {
    if (message.worker === 'listening') {
      slot.listening = true;
      if ([...slots].filter((one) => one.listening).length === count) started?.resolve();
      onChange();
    } else if (message.worker === 'status') {
      slot.status = message.status;
      onChange();
    } else if (message.worker === 'figures') {
      asked.get(message.id)?.(message.figures);
    } else if (message.worker === 'ask') {
      asks.ask(slot.asker, message.host, message.client);
    } else if (message.worker === 'enough') {
      asks.enough(slot.asker, message.host);
    } else if (message.worker === 'failed') {
      log.error({ detail: message.detail }, 'a worker cannot start');
      started?.reject(new AppError('bad_configuration', message.detail));
    }
  }

  function onExit(slot: Slot, code: number | null, signal: string | null): void {
    slots.delete(slot);
    asks.gone(slot.asker);
    if (stopping) return;
    restarts += 1;
    const shortLived = Date.now() - slot.bornAt < shortLifeMs;
    const delayMs = shortLived ? slot.pauseMs : 0;
    log.warn({ pid: slot.child.pid, code, signal, delayMs }, 'a worker died and is replaced');
    const timer = setTimeout(() => {
      replacements.delete(timer);
      if (!stopping) spawn(shortLived ? Math.min(slot.pauseMs * 2, longestPauseMs) : firstPauseMs);
    }, delayMs);
    replacements.add(timer);
    onChange();
  }

  function readySlots(): Slot[] {
    return [...slots].filter(({ listening, status }) => listening && status.position !== null);
  }

  return {
    async start() {
      const all = new Promise<void>((resolve, reject) => {
        started = { resolve, reject };
      });
      for (let i = 0; i < count; i += 1) spawn(firstPauseMs);
      await all;
      started = null;
    },
    get ready() {
      return readySlots().length;
    },
    get restarts() {
      return restarts;
    },
    get pids() {
      return [...slots].map(({ child }) => child.pid!);
    },
    applied() {
      let lowest: Position | null = null;
      for (const { listening, status } of slots) {
        if (!listening) continue;
        const { position } = status;
        // It takes connections, and has nothing to answer them with: a challenge must not count as placed yet.
        if (position === null) return null;
        // Between two epochs there is no order: while workers change over, the edge as a whole has applied neither.
        if (lowest !== null && lowest.epoch !== position.epoch) return null;
        if (lowest === null || position.number < lowest.number) lowest = position;
      }
      return lowest;
    },
    refusals() {
      const merged = new Map<string, Refusal>();
      for (const { status } of slots) {
        for (const refusal of status.refusals) merged.set(`${refusal.kind}/${refusal.id}`, refusal);
      }
      return [...merged.values()];
    },
    async figures() {
      const answers = new Map<number, WorkerFigures>();
      await Promise.all(
        [...slots].map(({ child }) => {
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
              answers.set(child.pid!, figures);
              done();
            });
            send(child, { worker: 'figures', id });
          });
        }),
      );
      return answers;
    },
    async drain() {
      stopping = true;
      for (const timer of replacements) clearTimeout(timer);
      await Promise.all(
        [...slots].map(({ child }) => {
          if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
          return new Promise<void>((resolve) => {
            const timer = setTimeout(() => child.kill('SIGKILL'), settings.config.drainTimeoutMs + 1_000);
            child.on('exit', () => {
              clearTimeout(timer);
              resolve();
            });
            send(child, { worker: 'drain' });
          });
        }),
      );
    },
  };
}
