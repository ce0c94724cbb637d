import { isIP, type Socket } from 'node:net';
import type { EdgeSettings } from '@lockstep/contract';
import type { buildConnector } from 'undici';
import { ExchangeError } from './failure-cause.ts';
import { Client } from './undici-client.ts';
import { keepResetsApart, repairParser } from './undici-repairs.ts';
import { type Waiting, WaitingLine } from './waiting-line.ts';

/** What one upstream may take of a worker. Read anew at each use: settings change while connections live. */
export interface UpstreamLimits {
  connections: number;
  pending: number;
  pendingMs: number;
  headBytes: number;
  connectMs: number;
  firstByteMs: number;
  idleMs: number;
  tunnelIdleMs: number;
}

export function upstreamLimitsOf({ limits, timeouts }: EdgeSettings): UpstreamLimits {
  return {
    connections: limits.upstreamConnections,
    pending: limits.upstreamPending,
    pendingMs: limits.upstreamPendingMs,
    headBytes: limits.upstreamHeadBytes,
    connectMs: timeouts.connectMs,
    firstByteMs: timeouts.firstByteMs,
    idleMs: timeouts.upstreamIdleMs,
    tunnelIdleMs: timeouts.tunnelIdleMs,
  };
}

/** Who needs a connection. Exactly one of the two is called, once, unless it is withdrawn before. */
export interface Taker extends Waiting {
  onConnection(connection: Connection): void;
  onBusy(error: ExchangeError): void;
}

/** One connection to an upstream, and one exchange at a time on it. It connects when the first is sent. */
export interface Connection {
  readonly client: Client;
  /** Whether an exchange was completed on it: the upstream may be about to close it. */
  readonly reused: boolean;
  /** After an answer that was complete; undici sees to it that what cannot be kept is closed. */
  release(): void;
  /** After anything else: whatever is left of it is broken off. */
  discard(): void;
  /** Instead of `discard`: another one in its place, which carried nothing yet. */
  replace(): Connection;
}

/** The connections of a worker to one upstream, and who waits for one. */
export interface UpstreamPool {
  /** What tells it from others: everything that its connections depend on. */
  readonly key: string;
  readonly origin: string;
  /** The name an https upstream is to prove; undefined for an address, which proves the name the client asked for. */
  readonly servername: string | undefined;
  readonly limits: () => UpstreamLimits;
  take(taker: Taker): void;
  /** Does nothing for one that does not wait. */
  withdraw(taker: Taker): void;
  readonly open: number;
  readonly pending: number;
  /** Settings changed: connections that were made under others carry nothing more than what they are at. */
  renew(): void;
  /** No route names it any more: idle connections close now, the others after their exchange. */
  retire(): void;
  /** Breaks everything off. */
  destroy(): Promise<void>;
}

export interface UpstreamPoolOptions {
  key: string;
  origin: string;
  connect: buildConnector.connector;
  limits(): UpstreamLimits;
}

class PooledConnection implements Connection {
  readonly client: Client;
  readonly generation: number;
  reused = false;
  idle = false;
  over = false;
  readonly #pool: Pool;

  constructor(pool: Pool, client: Client, generation: number) {
    this.#pool = pool;
    this.client = client;
    this.generation = generation;
  }

  release(): void {
    this.#pool.release(this);
  }

  discard(): void {
    this.#pool.discard(this);
  }

  replace(): Connection {
    return this.#pool.replace(this);
  }
}

class Pool implements UpstreamPool {
  readonly key: string;
  readonly origin: string;
  readonly servername: string | undefined;
  readonly limits: () => UpstreamLimits;
  readonly #connect: buildConnector.connector;
  readonly #all = new Set<PooledConnection>();
  /** The one that was used last is used next: the others grow old enough to be closed. */
  readonly #idle: PooledConnection[] = [];
  readonly #waiting = new WaitingLine<Taker>();
  #timer: NodeJS.Timeout | null = null;
  #retired = false;
  #generation = 0;

  constructor({ key, origin, connect, limits }: UpstreamPoolOptions) {
    const { hostname } = new URL(origin);
    this.key = key;
    this.origin = origin;
    this.servername = isIP(hostname.replace(/^\[|\]$/g, '')) === 0 ? hostname : undefined;
    this.limits = limits;
    this.#connect = connect;
  }

  get open(): number {
    return this.#all.size;
  }

  get pending(): number {
    return this.#waiting.size;
  }

  take(taker: Taker): void {
    const idle = this.#idle.pop();
    if (idle !== undefined) {
      idle.idle = false;
      taker.onConnection(idle);
      return;
    }
    const limits = this.limits();
    if (this.#all.size < limits.connections) taker.onConnection(this.#make(limits));
    else this.#wait(taker, limits);
  }

  #wait(taker: Taker, { pending, pendingMs }: UpstreamLimits): void {
    if (this.#waiting.size >= pending) {
      const refused = pending === 0 ? taker : (this.#waiting.giveWay(taker.client) ?? taker);
      refused.onBusy(new ExchangeError('upstream_busy', `${pending} requests wait already`));
      if (refused === taker) return;
    }
    // The timer may be that of one who waits no more.
    if (this.#waiting.size === 0 && this.#timer !== null) {
      clearTimeout(this.#timer);
      this.#timer = null;
    }
    this.#waiting.add(taker, Date.now() + pendingMs);
    this.#timer ??= setTimeout(this.#giveUp, pendingMs).unref();
  }

  withdraw(taker: Taker): void {
    this.#waiting.delete(taker);
  }

  #giveUp = (): void => {
    this.#timer = null;
    const now = Date.now();
    for (const taker of this.#waiting.expire(now)) {
      taker.onBusy(new ExchangeError('upstream_busy', 'none became free in time'));
    }
    if (this.#waiting.size > 0)
      this.#timer ??= setTimeout(this.#giveUp, this.#waiting.earliest - now).unref();
  };

  #make({ headBytes }: UpstreamLimits): PooledConnection {
    const client = new Client(this.origin, {
      allowH2: false,
      connect: (options, callback) => {
        this.#connect(options, (...[error, socket]: Parameters<buildConnector.Callback>) => {
          if (error !== null) {
            callback(error, null);
            return;
          }
          keepResetsApart(socket as Socket);
          callback(null, socket);
          repairParser(socket as Socket);
        });
      },
      maxHeaderSize: headBytes,
      pipelining: 1,
    });
    const connection = new PooledConnection(this, client, this.#generation);
    // Nothing is lost by it: the exchange hears of its own errors.
    (client as NodeJS.EventEmitter).on('error', () => {});
    client.on('disconnect', () => {
      connection.reused = false;
      if (connection.idle) this.#remove(connection);
    });
    this.#all.add(connection);
    return connection;
  }

  release(connection: PooledConnection): void {
    if (connection.over) return;
    const limits = this.limits();
    if (
      this.#retired ||
      connection.generation !== this.#generation ||
      this.#all.size > limits.connections ||
      connection.client.destroyed
    ) {
      this.#remove(connection);
      return;
    }
    connection.reused = true;
    const next = this.#waiting.next();
    if (next !== null) {
      next.onConnection(connection);
      return;
    }
    connection.idle = true;
    this.#idle.push(connection);
  }

  discard(connection: PooledConnection): void {
    this.#remove(connection);
  }

  replace(connection: PooledConnection): Connection {
    if (!connection.over) this.#drop(connection);
    return this.#make(this.limits());
  }

  #remove(connection: PooledConnection): void {
    if (connection.over) return;
    this.#drop(connection);
    const limits = this.limits();
    if (this.#all.size >= limits.connections) return;
    const next = this.#waiting.next();
    if (next !== null) next.onConnection(this.#make(limits));
  }

  #drop(connection: PooledConnection): void {
    connection.over = true;
    this.#all.delete(connection);
    if (connection.idle) {
      connection.idle = false;
      this.#idle.splice(this.#idle.indexOf(connection), 1);
    }
    // Not at once: undici is in the middle of telling of this very connection.
    setImmediate(() => connection.client.destroy(() => {}));
  }

  renew(): void {
    this.#generation += 1;
    for (const connection of [...this.#idle]) this.#drop(connection);
  }

  retire(): void {
    this.#retired = true;
    this.renew();
  }

  async destroy(): Promise<void> {
    this.#retired = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const taker of this.#waiting.clear())
      taker.onBusy(new ExchangeError('upstream_busy', 'the edge is about to stop'));
    const clients = [...this.#all].map(({ client }) => client);
    for (const connection of this.#all) connection.over = true;
    this.#all.clear();
    this.#idle.length = 0;
    await Promise.all(clients.map((client) => client.destroy()));
  }
}

export function createUpstreamPool(options: UpstreamPoolOptions): UpstreamPool {
  return new Pool(options);
}
