import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { AppError, createBoundary } from '@lockstep/contract';
import type { Logger } from 'pino';
import type { Feed } from '../feed/feed.ts';
import { serveFeed } from '../feed/serve-feed.ts';
import { type EdgeConfig, environmentOfChild } from '../startup/config.ts';
import type { EdgeAddresses } from '../supervisor/supervisor.ts';
import type { FromEdge, ToEdge } from './edge-message.ts';

const entry = fileURLToPath(new URL('./main.ts', import.meta.url));
const killAfterMs = 9_500;
const beatMs = 1_000;
/** Unanswered beats, counted from the first message on, after which a hung edge is killed, and its workers end with it. */
const killAfterBeats = 15;

export interface SpawnEdgeOptions {
  config: EdgeConfig;
  edgeKey: string;
  /** Stays the caller's to close, after the edge has gone. */
  feed: Omit<Feed, 'close'>;
  log: Logger;
  /** Where the edge's log lines go; this process's own output when left out. A file outlives this process, a pipe does not. */
  outputFd?: number;
}

/** An edge in a process of its own. It drains and exits by itself when this process ends, however it ends. */
export interface EdgeProcess {
  readonly pid: number | undefined;
  /** Resolves when the ports are bound. Rejects with the `AppError` that kept the edge from it. */
  readonly ready: Promise<EdgeAddresses>;
  /** Never rejects; `error` is why it could not start or go on, if it said so. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null; error: AppError | null }>;
  /** Drains it, and resolves when it is gone; killed after 9.5 s. May be called more than once. */
  stop(): Promise<void>;
}

export function spawnEdge({ config, edgeKey, feed, log, outputFd }: SpawnEdgeOptions): EdgeProcess {
  const output = outputFd ?? 'inherit';
  const child = fork(entry, {
    serialization: 'advanced',
    execArgv: [],
    env: environmentOfChild(),
    stdio: ['ignore', output, output, 'ipc'],
  });
  const boundary = createBoundary(log);
  let failure: AppError | null = null;
  let unanswered: number | null = null;

  const exited: EdgeProcess['exited'] = new Promise((resolve) => {
    child.on('exit', (code, signal) => resolve({ code, signal, error: failure }));
    child.on('error', (cause) => {
      failure = new AppError('internal', `the process of edge "${config.node}" failed: ${cause.message}`, {
        cause,
      });
      if (child.pid === undefined) resolve({ code: null, signal: null, error: failure });
    });
  });
  const ready = new Promise<EdgeAddresses>((resolve, reject) => {
    child.on(
      'message',
      boundary.guard('edge', (message: FromEdge | { edge?: undefined }) => {
        unanswered = 0;
        if (message.edge === 'ready') resolve(message.addresses);
        else if (message.edge === 'failed') {
          failure = new AppError(message.code, message.detail);
          reject(failure);
        }
      }),
    );
    void exited.then(({ error }) =>
      reject(error ?? new AppError('internal', `edge "${config.node}" ended before it was ready`)),
    );
  });
  ready.catch(() => {}); // whoever cares waits for it too

  serveFeed(child, feed, log);
  send({ edge: 'start', config, edgeKey });

  const beating = setInterval(
    boundary.guard('edge', () => {
      if (unanswered === null) return;
      unanswered += 1;
      if (unanswered === killAfterBeats + 1) {
        log.error({ node: config.node, pid: child.pid }, 'a hung edge is killed');
        child.kill('SIGKILL');
      }
      send({ edge: 'beat' });
    }),
    beatMs,
  );
  beating.unref();
  void exited.then(() => clearInterval(beating));

  function send(message: ToEdge): void {
    if (child.connected) child.send(message, () => {});
  }

  return {
    pid: child.pid,
    ready,
    exited,
    async stop() {
      send({ edge: 'stop' });
      const timer = setTimeout(() => child.kill('SIGKILL'), killAfterMs);
      await exited;
      clearTimeout(timer);
    },
  };
}
