import { createBoundary, giveBackMemory, logDestination } from '@lockstep/contract';
import { createEdgeSealer } from '@lockstep/pki/sealer';
import { type Logger, pino } from 'pino';
import { createParentFeed } from '../../feed/parent-feed.ts';
import type { OpenDestination } from '../observation/access-log.ts';
import { createWorker, type Worker } from './worker.ts';
import type { DrainOptions } from './worker-drain.ts';
import { type FromWorker, lastFigures, type ToWorker, type WorkerSettings } from './worker-message.ts';

// A signal to the process group, or to all of a unit, reaches the supervisor too: it says what is to be done.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGHUP'] as const) process.on(signal, () => {});
process.on('SIGUSR1', () => worker?.reopenLogs());

let worker: Worker | null = null;
let log: Logger = pino({ base: { worker: process.pid } }, logDestination(pino.destination));
const boundary = createBoundary({ error: (facts: object, message: string) => log.error(facts, message) });
const feed = createParentFeed(process, boundary);

function send(message: FromWorker, sent: () => void = () => {}): void {
  process.send?.(message, sent);
}

async function leave(how?: DrainOptions): Promise<void> {
  await worker?.drain(how).catch((error) => boundary.note('drain', error));
  // Or what it counted since it was asked last is lost.
  if (worker === null || !process.connected) process.exit(0);
  send({ worker: 'figures', id: lastFigures, figures: worker.figures() }, () => process.exit(0));
}

function start(settings: WorkerSettings): void {
  const sealer = createEdgeSealer(settings.edgeKey);
  log = pino(
    {
      level: settings.config.logLevel,
      base: { node: settings.config.node, worker: process.pid },
    },
    logDestination(pino.destination),
  );
  worker = createWorker({
    settings,
    open: (sealed, context) => sealer.open(sealed, context),
    feed,
    log,
    boundary,
    openLog: pino.destination as OpenDestination,
    onListening: () => send({ worker: 'listening' }),
    onStatus: (status) => send({ worker: 'status', status }),
    onAsk: (host, client) => send({ worker: 'ask', host, client }),
    onEnough: (host) => send({ worker: 'enough', host }),
    onTook: (taken) => send({ worker: 'took', taken }),
    health: {
      watch: (added, dropped) => send({ worker: 'watch', added, dropped }),
      failed: (key, reason) => send({ worker: 'failing', key, reason }),
    },
  });
  worker
    .run()
    .catch((error: Error) => send({ worker: 'failed', detail: error.message }, () => process.exit(1)));
}

giveBackMemory();
process.on('disconnect', () => void leave());
process.on(
  'message',
  boundary.guard('message', (message: ToWorker | { worker?: undefined }) => {
    if (message.worker === 'beat') send({ worker: 'beat' });
    else if (message.worker === 'drain') void leave(message);
    else if (message.worker === 'reopenLogs') worker?.reopenLogs();
    else if (message.worker === 'drained') worker?.setDrained(message.drained);
    else if (message.worker === 'refuse') worker?.refuse(message.host, message.client);
    else if (message.worker === 'took') worker?.took(message.taken);
    else if (message.worker === 'health') worker?.tellHealth(message.verdicts);
    else if (message.worker === 'listen') worker?.listen();
    else if (message.worker === 'start') start(message.settings);
    else if (message.worker === 'figures' && worker !== null) {
      send({ worker: 'figures', id: message.id, figures: worker.figures() });
    } else if (message.worker === 'traffic' && worker !== null) {
      send({ worker: 'traffic', id: message.id, traffic: worker.traffic(message.route) });
    }
  }),
);
