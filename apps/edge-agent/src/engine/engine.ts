import type { Address, Boundary, Kind, Position, Refusal, Traffic } from '@lockstep/contract';
import type { OwnService } from '@lockstep/pki/denied-addresses';
import type { Logger } from 'pino';
import type { Feed } from '../feed/feed.ts';
import type { CompleteEdgeConfig, GivenSockets } from '../startup/config.ts';
import type { EngineFigures, FigureLabels } from './figures.ts';
import type { UpstreamHealth } from './upstream-health.ts';

/** What a supervisor gives to an engine, whichever it is. */
export interface EngineOptions {
  config: CompleteEdgeConfig;
  /** Descriptors of sockets that others have bound: they stand in the place of `config`'s addresses. */
  givenSockets: GivenSockets;
  /** Opens what is sealed in records. */
  edgeKey: string;
  /**
   * What is to be in force: a snapshot as soon as there is one, then each commit in order. It can be followed by several at once, each at its own
   * pace, and followed anew at any time: a process that was started again begins with a snapshot.
   */
  configuration: Pick<Feed, 'follow'>;
  /** Whether `configuration` begins with a snapshot at once. */
  hasConfiguration(): boolean;
  /** Where no upstream may lead: the listeners of the fleet. Complete once the engine is started. */
  ownServices(): OwnService[];
  /** Hears of the unknown hosts that handshakes wait for. */
  asks: Asks;
  /** Decides which upstreams are well. */
  health: UpstreamHealth;
  log: Logger;
  boundary: Boundary;
  /** To be called when what can be read of the engine changed. */
  onChange(): void;
}

/**
 * Binds the addresses, so that they are nobody else's, and serves nothing yet. Rejects with `bad_configuration`, and nothing left behind, when
 * one cannot be bound.
 */
export type CreateEngine = (options: EngineOptions) => Promise<Engine>;

/**
 * What serves: terminates TLS, answers challenges, sends requests to upstreams. The supervisor knows this and nothing else of it.
 *
 * An engine puts in force what it follows, a commit or a snapshot as a whole: no request sees half of it. It builds first what a record needs;
 * a record that cannot be put to use is refused by name, and what it was before stays. Nothing is in force by `applied` that is not.
 */
export interface Engine {
  /** With ports that were 0 settled. */
  readonly addresses: { readonly https: Address; readonly http: Address };
  readonly capabilities: EngineCapabilities;
  readonly labels: FigureLabels;
  /**
   * Resolves when all of it takes connections, with a configuration in force unless there is none yet. Rejects with `bad_configuration`. What dies
   * later is started again.
   */
  start(): Promise<void>;
  /** There is no configuration to wait for any more: it takes connections without one. */
  listen(): void;
  readonly processes: EngineProcesses;
  /** What is in force: the position of the process that is furthest behind; null without any, and while one that takes connections has none. */
  applied(): Position | null;
  refusals(): Refusal[];
  /** Of each process that answers in time, by process id. */
  figures(): Promise<Map<number, EngineFigures>>;
  /** What was served of a route, of each of `trafficMinutes`. */
  traffic(route: string): Promise<Traffic[]>;
  /** Files of logs were renamed: what comes goes into new ones. */
  reopenLogs(): void;
  /**
   * Begins anew, process by process, with nothing failed: what comes is in force before what was takes no more connections. Rejects where that
   * cannot be: what was goes on.
   */
  reload(): Promise<void>;
  /** While drained, clients' connections are told to end after their next request, and new ones are served all the same. */
  setDrained(drained: boolean): void;
  /**
   * Takes no more connections, finishes what is in flight within `config.drainTimeoutMs`, and stops. Resolves when nothing is left of it. It may
   * not have been started. May be called more than once.
   */
  drain(): Promise<void>;
}

export interface EngineCapabilities {
  /** The kinds of records that it puts to use. */
  readonly kinds: readonly Kind[];
}

/** The processes that serve. */
export interface EngineProcesses {
  readonly of: number;
  /** Those that take connections, have a configuration, and give signs of life. */
  readonly ready: number;
  /** Those that give none. */
  readonly hung: number;
  /** How many were started again since the beginning, and how many of them were killed as they hung. */
  readonly restarts: number;
  readonly kills: number;
}

/** Asks about unknown hosts that handshakes wait for. An allowed host is waited for: its certificate comes with the configuration. */
export interface Asks {
  ask(asker: Asker, host: string, client: string): void;
  /** No handshake of this one waits for the host any more. */
  enough(asker: Asker, host: string): void;
  /** It has ended. */
  gone(asker: Asker): void;
}

/** A process with handshakes that wait. */
export interface Asker {
  /** The verdict: the host is refused, to one client or to all. */
  refuse(host: string, client: string | null): void;
}
