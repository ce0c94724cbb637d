import { setTimeout as delay } from 'node:timers/promises';
import type { Boundary, NodeReport } from '@lockstep/contract';
import type { Engine } from '../engine/engine.ts';
import type { Replica } from './replica.ts';

const countIntervalMs = 1_000;

export interface NodeDrainOptions {
  engine: Pick<Engine, 'setDrained' | 'figures'>;
  replica: Pick<Replica, 'drain'>;
  boundary: Boundary;
  /** What is told of it changed. */
  onChange(): void;
}

/** Whether this edge asks balancers for traffic: not while an operator has it drained, nor once it is about to stop. */
export interface NodeDrain {
  /** Null: it takes traffic. */
  readonly state: NodeReport['drained'];
  /** The record may have changed. */
  look(): void;
  /** It is about to stop: resolves when balancers had `ms` to see it. */
  beforeStop(ms: number): Promise<void>;
  close(): void;
}

export function createNodeDrain({ engine, replica, boundary, onChange }: NodeDrainOptions): NodeDrain {
  let stoppingSince: string | null = null;
  let since: string | null = null;
  let connections: number | null = null;
  let counting: NodeJS.Timeout | undefined;

  function look(): void {
    const now = stoppingSince ?? replica.drain?.since ?? null;
    if (now === since) return;
    since = now;
    connections = null;
    engine.setDrained(since !== null);
    clearInterval(counting);
    if (since !== null) counting = setInterval(boundary.guard('drain', count), countIntervalMs).unref();
    onChange();
  }

  async function count(): Promise<void> {
    const figures = [...(await engine.figures()).values()];
    const open = figures.reduce((sum, one) => sum + one.connections, 0);
    if (since === null || open === connections) return;
    connections = open;
    onChange();
  }

  return {
    get state() {
      return since === null ? null : { since, connections };
    },
    look,
    async beforeStop(ms) {
      stoppingSince = new Date().toISOString();
      look();
      if (ms > 0) await delay(ms);
    },
    close: () => clearInterval(counting),
  };
}
