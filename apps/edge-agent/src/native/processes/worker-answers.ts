import type { EngineFigures } from '../../engine/figures.ts';
import { type FromWorker, lastFigures, type ToWorker } from '../worker/worker-message.ts';
import type { WorkerProcess } from './worker-process.ts';

const timeoutMs = 1_000;
/** Whose last figures are kept for whoever asks next. */
const mostEnded = 64;

/** What workers are asked, and what they answer. */
export interface WorkerAnswers {
  /** Of each worker that answers in time, by process id. */
  ask<Answer>(
    workers: readonly WorkerProcess[],
    message: (id: number) => ToWorker,
  ): Promise<Map<number, Answer>>;
  /** The same, and of those that ended not long ago. */
  figures(workers: readonly WorkerProcess[]): Promise<Map<number, EngineFigures>>;
  receive(message: Extract<FromWorker, { worker: 'figures' | 'traffic' }>, from: WorkerProcess): void;
}

export function createWorkerAnswers(): WorkerAnswers {
  const asked = new Map<number, (answer: unknown) => void>();
  const ended = new Map<number, EngineFigures>();
  let lastId = lastFigures;

  /** What a worker counted is told once more after its end; what it had open is gone. */
  function keepLast(pid: number, figures: EngineFigures): void {
    const nothing = { connections: 0, contexts: 0, held: 0, inFlight: 0, tunnels: 0, sessions: 0 };
    ended.set(pid, { ...figures, ...nothing, upstreams: { open: 0, pending: 0 } });
    if (ended.size > mostEnded) ended.delete(ended.keys().next().value!);
  }

  async function ask<Answer>(
    workers: readonly WorkerProcess[],
    message: (id: number) => ToWorker,
  ): Promise<Map<number, Answer>> {
    const answers = new Map<number, Answer>();
    await Promise.all(
      workers.map((worker) => {
        lastId += 1;
        const id = lastId;
        return new Promise<void>((resolve) => {
          const done = () => {
            clearTimeout(timer);
            asked.delete(id);
            resolve();
          };
          const timer = setTimeout(done, timeoutMs);
          asked.set(id, (answer) => {
            answers.set(worker.child.pid!, answer as Answer);
            done();
          });
          worker.send(message(id));
        });
      }),
    );
    return answers;
  }

  return {
    ask,
    async figures(workers) {
      const now = await ask<EngineFigures>(workers, (id) => ({ worker: 'figures', id }));
      return new Map([...ended, ...now]);
    },
    receive(message, from) {
      if (message.worker === 'traffic') asked.get(message.id)?.(message.traffic);
      else if (message.id === lastFigures) keepLast(from.child.pid!, message.figures);
      else asked.get(message.id)?.(message.figures);
    },
  };
}
