import type { Asker, Asks } from '../../engine/engine.ts';
import type { HealthWatcher, UpstreamHealth } from '../../engine/upstream-health.ts';
import type { FromWorker, ToWorker } from '../worker/worker-message.ts';

export interface WorkerQuestionsOptions {
  asks: Asks;
  health: UpstreamHealth;
  send(message: ToWorker): void;
}

type Question = Extract<FromWorker, { worker: 'ask' | 'enough' | 'watch' | 'failing' }>;

/** What a worker wants to know of unknown hosts, and of how upstreams are. */
export interface WorkerQuestions {
  receive(message: Question): void;
  /** The worker is gone. */
  close(): void;
}

export function createWorkerQuestions({ asks, health, send }: WorkerQuestionsOptions): WorkerQuestions {
  const asker: Asker & HealthWatcher = {
    refuse: (host, client) => send({ worker: 'refuse', host, client }),
    tell: (verdicts) => send({ worker: 'health', verdicts }),
  };
  return {
    receive(message) {
      if (message.worker === 'ask') asks.ask(asker, message.host, message.client);
      else if (message.worker === 'enough') asks.enough(asker, message.host);
      else if (message.worker === 'failing') health.failed(asker, message.key, message.reason);
      else if (message.worker === 'watch') {
        health.watch(asker, message.added);
        health.unwatch(asker, message.dropped);
      }
    },
    close() {
      asks.gone(asker);
      health.gone(asker);
    },
  };
}
