import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type Boundary, isPosition, type Position, type Refusal } from '@lockstep/contract';
import type { Logger } from 'pino';
import { configuresOpenssl } from '../../startup/config.ts';
import type { FromWorker, ToWorker, WorkerStatus } from '../worker/worker-message.ts';
import type { SocketPair } from './listening-sockets.ts';

/**
 * Megabytes of V8's space for new objects from the start. V8 begins with one and shrinks it again when the process is idle; a worker that comes
 * under load then collects twice as often. An idle worker takes no more memory for it.
 */
const youngGeneration = '--min-semi-space-size=8';
const entry = fileURLToPath(new URL('../worker/main.ts', import.meta.url));
const openssl = `--openssl-config=${fileURLToPath(new URL('./openssl.cnf', import.meta.url))}`;
/** Where a worker finds its sockets: behind stdin, stdout, stderr and the channel. */
export const workerSockets = { https: 4, http: 5 };

/** Unanswered beats, one a second, after which a worker does not count, and after which it is killed. */
const hungAfterBeats = 3;
const killAfterBeats = 10;
/** A worker that says nothing at all is still starting; a busy machine may take long. */
const startBeats = 60;

/** One worker as its supervisor sees it. */
export interface WorkerProcess {
  readonly child: ChildProcess;
  readonly listening: boolean;
  /** It did not answer its last beats: it may serve, and it may not. */
  readonly hung: boolean;
  readonly position: Position | null;
  readonly refusals: readonly Refusal[];
  send(message: ToWorker): void;
  /** Calls for a sign of life; kills it when there has been none for too long. Call it once a second. */
  beat(): void;
  /** Resolves when it is gone, for which `message` asks; it is killed when that takes longer. */
  end(message: ToWorker, mostMs: number): Promise<void>;
}

export interface WorkerProcessOptions {
  sockets: SocketPair | null;
  log: Logger;
  boundary: Boundary;
  onMessage(message: Exclude<FromWorker, { worker: 'beat' | 'status' }>): void;
  /** What is read of it changed. */
  onChange(): void;
  onKill(): void;
  /** It is gone, or never was. Called once. */
  onExit(code: number | null, signal: string | null): void;
}

/** Throws where no process can be started at all; else `onExit` tells. */
export function startWorkerProcess(options: WorkerProcessOptions): WorkerProcess {
  const { sockets, log, boundary, onChange } = options;
  const child = fork(entry, {
    serialization: 'advanced',
    execArgv: configuresOpenssl() ? [youngGeneration] : [youngGeneration, openssl],
    stdio: [
      'ignore',
      'inherit',
      'inherit',
      'ipc',
      ...(sockets === null ? [] : [sockets.https.fd(), sockets.http.fd()]),
    ],
  });
  let listening = false;
  let status: WorkerStatus = { position: null, refusals: [] };
  let heard = false;
  let unanswered = 0;
  let gone = false;

  const isHung = () => heard && unanswered > hungAfterBeats;

  child.on(
    'message',
    boundary.guard('worker', (message: FromWorker | { worker?: undefined }) => {
      const wasHung = isHung();
      heard = true;
      unanswered = 0;
      if (wasHung) {
        log.warn({ pid: child.pid }, 'a worker that was hung goes on');
        onChange();
      }
      if (message.worker === undefined || message.worker === 'beat') return;
      if (message.worker === 'status') {
        const { position, refusals } = message.status;
        if ((position !== null && !isPosition(position)) || !Array.isArray(refusals)) return;
        status = { position, refusals };
        onChange();
        return;
      }
      if (message.worker === 'listening') listening = true;
      options.onMessage(message);
    }),
  );
  const exit = boundary.guard('worker', (code: number | null, signal: string | null) => {
    if (gone) return;
    gone = true;
    options.onExit(code, signal);
  });
  child.on('exit', exit);
  child.on('error', (error) => {
    log.error({ err: error }, 'a worker process failed');
    // One that could not be started has no exit.
    if (child.pid === undefined) exit(null, null);
  });

  function send(message: ToWorker): void {
    if (child.connected) child.send(message, () => {});
  }

  return {
    child,
    get listening() {
      return listening;
    },
    get hung() {
      return isHung();
    },
    get position() {
      return status.position;
    },
    get refusals() {
      return status.refusals;
    },
    send,
    end(message, mostMs) {
      if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
      return new Promise((resolve) => {
        const timer = setTimeout(() => child.kill('SIGKILL'), mostMs);
        child.on('exit', () => {
          clearTimeout(timer);
          resolve();
        });
        send(message);
      });
    },
    beat() {
      if (gone) return;
      unanswered += 1;
      if (heard && unanswered === hungAfterBeats + 1) {
        log.error({ pid: child.pid }, 'a worker is hung and does not count');
        onChange();
      }
      if (unanswered === (heard ? killAfterBeats : startBeats) + 1) {
        log.error({ pid: child.pid }, 'a hung worker is killed and replaced');
        options.onKill();
        child.kill('SIGKILL');
      }
      send({ worker: 'beat' });
    },
  };
}
