import type { Address, Position, Refusal, Traffic } from '@lockstep/contract';
import type { OwnService } from '@lockstep/pki/denied-addresses';
import type { EngineFigures } from '../../engine/figures.ts';
import type { HealthVerdict, WatchedUpstream } from '../../engine/upstream-health.ts';
import type { CompleteEdgeConfig } from '../../startup/config.ts';
import type { Taken } from '../rules/rate-buckets.ts';

/** What a supervisor and its workers say to each other beside the feed (Node IPC, `serialization: 'advanced'`). */
export type ToWorker =
  | { worker: 'start'; settings: WorkerSettings }
  | { worker: 'figures'; id: number }
  /** Answered at once: a worker that does not is hung. */
  | { worker: 'beat' }
  /** There is no configuration to wait for any more. */
  | { worker: 'listen' }
  /** A host that was asked about is refused: to one client (see `clientKey`), or to all. */
  | { worker: 'refuse'; host: string; client: string | null }
  /** What the edge's other workers let through, of limits that they share. */
  | { worker: 'took'; taken: Taken }
  | { worker: 'traffic'; id: number; route: string }
  /** Files of logs were renamed. */
  | { worker: 'reopenLogs' }
  /** Connections are to end after their next request; new ones are served all the same. */
  | { worker: 'drained'; drained: boolean }
  /** How upstreams are that it watches. */
  | { worker: 'health'; verdicts: readonly HealthVerdict[] }
  /** As `Worker.drain`, then exit. It may come again, with less time. */
  | { worker: 'drain'; patient: boolean; limitMs: number };

/** The id of figures that nobody asked for: those of a worker that ends. */
export const lastFigures = 0;

export type FromWorker =
  | { worker: 'beat' }
  /** The ports are bound, and a configuration is in force if there was one. */
  | { worker: 'listening' }
  | { worker: 'status'; status: WorkerStatus }
  | { worker: 'figures'; id: number; figures: EngineFigures }
  | { worker: 'traffic'; id: number; traffic: Traffic[] }
  /** A client's handshake waits for a host that is not known. */
  | { worker: 'ask'; host: string; client: string }
  /** No handshake waits for the host any more. */
  | { worker: 'enough'; host: string }
  /** What it let through, of limits that the edge's workers share. */
  | { worker: 'took'; taken: Taken }
  /** It needs to know of the health of these upstreams, and of those no more. */
  | { worker: 'watch'; added: WatchedUpstream[]; dropped: string[] }
  /** Requests to this one failed too often. */
  | { worker: 'failing'; key: string; reason: string }
  /** It cannot start; it exits. */
  | { worker: 'failed'; detail: string };

export interface WorkerSettings {
  config: CompleteEdgeConfig;
  https: Address;
  http: Address;
  edgeKey: string;
  /** For sessions that begin before the fleet's keys are there. */
  ticketKeys: Uint8Array;
  /** Descriptors of sockets that are bound there and outlive the worker; null: it binds its own. */
  sockets: { https: number; http: number } | null;
  /** Bind before there is a configuration: there is none to wait for. */
  listenAtOnce: boolean;
  /** The fleet's own listeners, where no upstream may lead. */
  ownServices: OwnService[];
  /** As the message of that name said before it was started. */
  drained: boolean;
  /** What is known of the health of upstreams. */
  health: readonly HealthVerdict[];
}

export interface WorkerStatus {
  position: Position | null;
  refusals: Refusal[];
}
