import type { Address, Position, Refusal } from '@lockstep/contract';
import type { OwnService } from '@lockstep/pki/denied-addresses';
import type { EdgeSettings } from '../../config.ts';
import type { RefusalReason } from '../../server/request-refusal.ts';
import type { CutReason } from '../clients/incidents.ts';
import type { HandshakeFailure } from '../http/https-listener.ts';
import type { FailureCause } from '../upstreams/failure-cause.ts';

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
  /** Take no more connections, finish what is in flight, exit. */
  | { worker: 'drain' };

export type FromWorker =
  | { worker: 'beat' }
  /** The ports are bound, and a configuration is in force if there was one. */
  | { worker: 'listening' }
  | { worker: 'status'; status: WorkerStatus }
  | { worker: 'figures'; id: number; figures: WorkerFigures }
  /** A client's handshake waits for a host that is not known. */
  | { worker: 'ask'; host: string; client: string }
  /** No handshake waits for the host any more. */
  | { worker: 'enough'; host: string }
  /** It cannot start; it exits. */
  | { worker: 'failed'; detail: string };

export interface WorkerSettings {
  config: EdgeSettings;
  https: Address;
  http: Address;
  secretKey: string;
  ticketKeys: Uint8Array;
  /** Descriptors of sockets that are bound there and outlive the worker; null: it binds its own. */
  sockets: { https: number; http: number } | null;
  /** Bind before there is a configuration: there is none to wait for. */
  listenAtOnce: boolean;
  /** The fleet's own listeners, where no upstream may lead. */
  ownServices: OwnService[];
}

export interface WorkerStatus {
  position: Position | null;
  refusals: Refusal[];
}

/** Counters grow over the life of one worker; the rest is as of now. */
export interface WorkerFigures {
  answers: Record<string, number>;
  handshakeFailures: Partial<Record<HandshakeFailure, number>>;
  failures: Partial<Record<FailureCause, number>>;
  refusedRequests: Partial<Record<RefusalReason, number>>;
  cuts: Partial<Record<CutReason, number>>;
  /** By place. */
  exceptions: Record<string, number>;
  certificatesBuilt: number;
  connections: number;
  contexts: number;
  /** Handshakes that wait for a certificate. */
  held: number;
  /** Requests without a complete answer, open tunnels, open HTTP/2 sessions. */
  inFlight: number;
  tunnels: number;
  sessions: number;
  /** Connections to upstreams, and requests that wait for one. */
  upstreams: { open: number; pending: number };
}
