import { createSealer } from '@lockstep/pki/sealer';
import { pino } from 'pino';
import { createParentFeed } from '../feed/parent-feed.ts';
import { createWorker, type Worker } from './worker.ts';
import type { FromWorker, ToWorker } from './worker-message.ts';

// A signal to the process group reaches the supervisor too: it says when to drain.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});

let worker: Worker | null = null;
let leaving = false;
const feed = createParentFeed(process);

function send(message: FromWorker): void {
  process.send?.(message, () => {});
}

async function leave(): Promise<void> {
  if (leaving) return;
  leaving = true;
  await worker?.drain();
  process.exit(0);
}

process.on('disconnect', () => void leave());
process.on('message', (message: ToWorker | { worker?: undefined }) => {
  if (message.worker === 'drain') void leave();
  else if (message.worker === 'refuse') worker?.refuse(message.host, message.client);
  else if (message.worker === 'figures' && worker !== null) {
    send({ worker: 'figures', id: message.id, figures: worker.figures() });
  } else if (message.worker === 'start') {
    const { settings } = message;
    const sealer = createSealer(settings.secretKey);
    const log = pino({
      level: settings.config.logLevel,
      base: { node: settings.config.node, worker: process.pid },
    });
    worker = createWorker({
      settings,
      open: (sealed, context) => sealer.open(sealed, context),
      feed,
      log,
      onListening: () => send({ worker: 'listening' }),
      onStatus: (status) => send({ worker: 'status', status }),
      onAsk: (host, client) => send({ worker: 'ask', host, client }),
      onEnough: (host) => send({ worker: 'enough', host }),
    });
    worker.run().catch((error: Error) => {
      process.send?.({ worker: 'failed', detail: error.message } satisfies FromWorker, () => process.exit(1));
    });
  }
});
