import type { Readiness } from '@lockstep/contract';
import type { Engine } from '../engine/engine.ts';
import type { NodeDrain } from './node-drain.ts';
import type { OwnHandshake } from './own-handshake.ts';
import type { Replica } from './replica.ts';

export interface EdgeReadinessOptions {
  engine: Pick<Engine, 'applied' | 'processes'>;
  replica: Pick<Replica, 'state' | 'held' | 'behindSince' | 'settings'>;
  handshake: OwnHandshake;
  drain: Pick<NodeDrain, 'state'>;
}

/**
 * Whether clients are to be sent to this edge. `degraded`: it serves, but cannot follow what the store says; after the setting
 * `notReadyAfterMs` it is not ready either.
 */
export async function edgeReadiness(options: EdgeReadinessOptions): Promise<Readiness> {
  const { engine, replica } = options;
  const { ready, of } = engine.processes;
  const fault = ready === 0 ? null : await options.handshake.check();
  const applied = engine.applied();
  const checks = [
    { name: 'configuration', ok: applied !== null, detail: applied === null ? 'none yet' : 'applied' },
    { name: 'workers', ok: ready === of, detail: `${ready} of ${of} ready` },
    { name: 'handshake', ok: ready > 0 && fault === null, detail: fault ?? 'answered' },
  ];
  const { state } = options.drain;
  if (state !== null)
    checks.push({ name: 'traffic', ok: false, detail: `asked for no more since ${state.since}` });
  const serves = checks.every(({ ok }) => ok);
  const { behindSince } = replica;
  const notReadyAfterMs = replica.settings?.edge?.notReadyAfterMs ?? null;
  const tooLong =
    behindSince !== null && notReadyAfterMs !== null && Date.now() - behindSince > notReadyAfterMs;
  checks.push({ name: 'following', ok: behindSince === null, detail: followingDetail(replica) });
  if (!serves || tooLong) return { status: 'not_ready', checks };
  return { status: behindSince === null ? 'ready' : 'degraded', checks };
}

function followingDetail({ state, held }: EdgeReadinessOptions['replica']): string {
  if (held !== null) return `a snapshot that removes ${held.removed} of ${held.hosts} hosts is held back`;
  if (state.state === 'following') return 'in step';
  if (state.state === 'broken') return `cannot follow since ${state.since}: ${state.detail}`;
  return `a snapshot is read, ${state.records ?? 0} records so far`;
}
