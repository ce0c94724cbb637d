import { AppError, createBoundary, giveBackMemory, isAppError, logDestination } from '@lockstep/contract';
import { type Logger, pino } from 'pino';
import { createParentFeed } from '../feed/parent-feed.ts';
import { createNativeEngine } from '../native/native-engine.ts';
import { createSupervisor, type Supervisor } from '../supervisor/supervisor.ts';
import type { FromEdge, ToEdge } from './edge-message.ts';

/** Past this nothing is worth waiting for. */
const exitAfterMs = 9_000;

let log: Logger = pino(logDestination(pino.destination));
const boundary = createBoundary({ error: (facts: object, message: string) => log.error(facts, message) });
const feed = createParentFeed(process, boundary);
let supervisor: Supervisor | null = null;
let stopping = false;

async function stop(error: AppError | null): Promise<void> {
  if (stopping) return; // a signal, the parent's word and the end of the channel are the same wish
  stopping = true;
  setTimeout(() => process.exit(1), exitAfterMs);
  await supervisor?.stop();
  if (error === null) process.exit(0);
  const message: FromEdge = { edge: 'failed', code: error.code, detail: error.message };
  if (process.send === undefined || !process.connected) process.exit(1);
  process.send(message, () => process.exit(1));
}

function asAppError(error: unknown): AppError {
  return isAppError(error) ? error : new AppError('internal', (error as Error).message, { cause: error });
}

async function start({ config, edgeKey }: Extract<ToEdge, { edge: 'start' }>): Promise<void> {
  log = pino({ level: config.logLevel, base: { node: config.node } }, logDestination(pino.destination));
  try {
    supervisor = createSupervisor({
      config,
      edgeKey,
      feed,
      createEngine: createNativeEngine,
      log,
      onFatal: (error) => void stop(error),
    });
    const addresses = await supervisor.start();
    if (!stopping) process.send?.({ edge: 'ready', addresses } satisfies FromEdge, () => {});
  } catch (error) {
    await stop(asAppError(error));
  }
}

giveBackMemory();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGHUP'] as const)
  process.on(signal, () => void stop(null));
process.on('SIGUSR1', () => supervisor?.reopenLogs());
process.on('disconnect', () => void stop(null));
process.on(
  'message',
  boundary.guard('message', (message: ToEdge | { edge?: undefined }) => {
    if (message.edge === 'start') void start(message);
    else if (message.edge === 'stop') void stop(null);
    else if (message.edge === 'beat') process.send?.({ edge: 'beat' } satisfies FromEdge, () => {});
  }),
);
