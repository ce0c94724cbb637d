import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate } from 'node:timers/promises';
import type { SeededRandom } from './random.ts';

/** What a process that died never gets to see: nothing may catch it and go on. */
export class Crash extends Error {}

/** A control plane of the fuzz: it dies at a point of its work, or stands still for a while. */
export interface Replica {
  name: string;
  dead: boolean;
  /** Stands still while the scheduler's steps are below this. */
  pausedUntil: number;
}

interface Point {
  label: string;
  replica: Replica;
  task: Task;
  resume(error: Error | null): void;
}

interface Task {
  waiting: number;
  /** It waits for another task of its replica. */
  queued: boolean;
  done: boolean;
}

/**
 * Decides, by a seeded generator, which of all the awaits that the tasks stand at goes on next, and what happens there. Between
 * two decisions everything that can run without one has run; so a seed gives the same history again.
 */
export interface Scheduler {
  readonly steps: number;
  readonly active: number;
  /** Stands still here until it is decided on. Rejects with the fault decided on, or `Crash`. */
  point(replica: Replica, label: string): Promise<void>;
  /** For `work` that waits in a queue rather than at a point: `inTurn` runs what it waits to do, as part of this task. */
  queued<T>(work: (inTurn: <R>(turn: () => R) => R) => Promise<T>): Promise<T>;
  start(work: () => Promise<unknown>): void;
  /** Lets one await go on; false when there is none to choose. */
  step(fault: (point: { label: string; replica: Replica }) => Error | null): Promise<boolean>;
  settle(): Promise<void>;
  /** Ends every task that stands still. */
  close(): Promise<void>;
}

/** Longer than any task works from one point to the next: it makes keys and signs. */
const longestTurnMs = 50;

export function createScheduler(random: SeededRandom): Scheduler {
  const points: Point[] = [];
  const tasks = new Set<Task>();
  const current = new AsyncLocalStorage<Task>();
  let steps = 0;

  function taskOf(): Task {
    const task = current.getStore();
    if (task === undefined) throw new Error('outside of any task');
    return task;
  }

  async function settle(): Promise<void> {
    const since = performance.now();
    for (;;) {
      await setImmediate();
      const busy = [...tasks].filter((task) => !task.done && task.waiting === 0 && !task.queued);
      if (busy.length === 0) return;
      // What is left waits for another task in a queue of its own, like that of the ledger.
      const waited = performance.now() - since;
      if (waited > longestTurnMs && busy.length < tasks.size) return;
      if (waited > 100 * longestTurnMs) throw new Error('no task came to a point');
    }
  }

  return {
    get steps() {
      return steps;
    },
    get active() {
      return tasks.size;
    },
    point(replica, label) {
      if (replica.dead) return Promise.reject(new Crash());
      const task = taskOf();
      task.waiting += 1;
      return new Promise((resolve, reject) => {
        points.push({
          label,
          replica,
          task,
          resume(error) {
            task.waiting -= 1;
            if (error === null) resolve();
            else reject(error);
          },
        });
      });
    },
    queued(work) {
      const task = taskOf();
      task.queued = true;
      return work((turn) => {
        task.queued = false;
        return current.run(task, turn); // the queue runs it from within the task before
      }).finally(() => {
        task.queued = false;
      });
    },
    start(work) {
      const task: Task = { waiting: 0, queued: false, done: false };
      tasks.add(task);
      current.run(task, () => {
        void work()
          .catch(() => {})
          .finally(() => {
            task.done = true;
            tasks.delete(task);
          });
      });
    },
    async step(fault) {
      await settle();
      steps += 1;
      const ready = points.filter(({ replica }) => replica.dead || replica.pausedUntil <= steps);
      if (ready.length === 0) return false;
      // In an order that does not hang on which of two reads was begun first.
      const chosen = random.pick(ready);
      points.splice(points.indexOf(chosen), 1);
      chosen.resume(chosen.replica.dead ? new Crash() : fault(chosen));
      await settle();
      return true;
    },
    settle,
    async close() {
      for (; points.length > 0; await setImmediate())
        for (const point of points.splice(0)) point.resume(new Crash());
    },
  };
}
