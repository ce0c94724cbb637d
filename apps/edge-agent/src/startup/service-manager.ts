import { spawn } from 'node:child_process';
import type { Logger } from 'pino';
import type { ServiceManagerConfig } from './config.ts';

/** systemd takes a process for hung after the time that it says; half of it leaves room for a late one. */
const pingsInTime = 2;

/** systemd, or whatever else started this process and wants to hear of it (sd_notify(3)); where nobody does, nothing happens. */
export interface ServiceManager {
  /** It is about to be ready; `status` says what for. */
  starting(status: string): void;
  /** It takes connections; may be said again, when what is to be said of it has changed. */
  ready(status: string): void;
  /** The workers are replaced; `ready` says that they were. */
  reloading(): void;
  /** Resolves when it was told, for the process may be gone a moment later. */
  stopping(): Promise<void>;
}

/** The tool of systemd tells it: Node has no datagram sockets of the file system. The unit has to say `NotifyAccess=all`. */
const tool = 'systemd-notify';

export function createServiceManager(
  { listens, watchdogMs }: ServiceManagerConfig,
  log: Logger,
): ServiceManager {
  let told: Promise<void> = Promise.resolve();
  let failing = false;

  function tell(...what: string[]): Promise<void> {
    if (!listens) return Promise.resolve();
    // One after the other, or `RELOADING` could come after the `READY` that ends it.
    told = told.then(
      () =>
        new Promise((resolve) => {
          const child = spawn(tool, what, { stdio: 'ignore' });
          child.on('error', (error) => {
            fail(error);
            resolve();
          });
          child.on('exit', (code) => {
            if (code !== 0) fail(new Error(`${tool} ended with ${code}`));
            resolve();
          });
        }),
    );
    return told;
  }

  function fail(error: Error): void {
    if (!failing) log.warn({ err: error }, 'the service manager cannot be told how this process stands');
    failing = true;
  }

  if (listens && watchdogMs !== null)
    setInterval(() => void tell('WATCHDOG=1'), watchdogMs / pingsInTime).unref();

  return {
    starting: (status) => void tell(`STATUS=${status}`),
    ready: (status) => void tell('READY=1', `STATUS=${status}`),
    reloading() {
      const monotonicUs = process.hrtime.bigint() / 1_000n;
      void tell('RELOADING=1', `MONOTONIC_USEC=${monotonicUs}`, 'STATUS=replacing the workers');
    },
    stopping: () => tell('STOPPING=1', 'STATUS=ending what is in flight'),
  };
}
