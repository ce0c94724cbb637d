import type { Socket } from 'node:net';
import type { EdgeSettings } from '@lockstep/contract';
import { PlainClient, type UpstreamClient } from './plain-client.ts';
import type { ClientEnds } from './proxy-header.ts';
import type { RequestCarrier } from './request-carrier.ts';
import { Client } from './undici-client.ts';
import { keepResetsApart, repairParser } from './undici-repairs.ts';
import type { UpstreamConnector } from './upstream-connector.ts';
import type { UpstreamName } from './upstream-name.ts';
import { type Guest, WaitingRoom } from './waiting-room.ts';

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
export interface Taker extends Guest {
  /** The protocols that it wants to switch to. */
  readonly upgrade: string | null;
  /** The name of the Host that the upstream receives; empty for an address. */
  readonly hostName: string;
  /** The ends of its client's connection, which some upstreams are told. */
  clientEnds(): ClientEnds;
  onConnection(connection: Connection): void;
}

/** A place on a connection to an upstream, for one exchange at a time. It connects when the first is sent. */
export interface Connection {
  readonly client: RequestCarrier;
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
  /** What switches to another protocol goes over another one than all else. */
  readonly switchesApart: boolean;
  take(taker: Taker): void;
  /** Does nothing for one that does not wait. */
  withdraw(taker: Taker): void;
  readonly open: number;
  readonly pending: number;
  /** Its name stands for these addresses now: what leads to others carries nothing more than what it is at. */
  moved(addresses: ReadonlySet<string>): void;
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
  /** The name an https upstream is to prove; undefined: the one that the client asked for. */
  servername: string | undefined;
  connector: UpstreamConnector;
  /** Null for an address that needs no looking up. */
  name: UpstreamName | null;
  /** The upstream is told of each connection whose it is, so that none can serve two clients. */
  tellsClients: boolean;
  limits(): UpstreamLimits;
}

type Connect = (
  servername: string | null,
  callback: (error: Error | null, socket: Socket | null) => void,
) => void;

/** The generation of a connection that is to carry nothing more. */
const outdated = -1;

class PooledConnection implements Connection {
  readonly client: UpstreamClient;
  generation: number;
  /** Whose it is, where the upstream was told. */
  readonly ends: ClientEnds | null;
  /** Where it leads to, once it is connected. */
  address: string | undefined = undefined;
  reused = false;
  idle = false;
  over = false;
  readonly #pool: Pool;

  constructor(pool: Pool, client: UpstreamClient, generation: number, ends: ClientEnds | null) {
    this.#pool = pool;
    this.client = client;
    this.generation = generation;
    this.ends = ends;
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
  readonly switchesApart = false;
  readonly #connector: UpstreamConnector;
  readonly #name: UpstreamName | null;
  readonly #tellsClients: boolean;
  readonly #all = new Set<PooledConnection>();
  /** The one that was used last is used next: the others grow old enough to be closed. */
  readonly #idle: PooledConnection[] = [];
  readonly #waiting = new WaitingRoom<Taker>();
  #retired = false;
  #generation = 0;

  constructor(options: UpstreamPoolOptions) {
    this.key = options.key;
    this.origin = options.origin;
    this.servername = options.servername;
    this.limits = options.limits;
    this.#connector = options.connector;
    this.#name = options.name;
    this.#tellsClients = options.tellsClients;
  }

  get open(): number {
    return this.#all.size;
  }

  get pending(): number {
    return this.#waiting.size;
  }

  take(taker: Taker): void {
    if (this.#name?.due) this.#name.refresh();
    const idle = this.#tellsClients ? this.#idleOf(taker.clientEnds()) : this.#idle.pop();
    if (idle !== undefined) {
      idle.idle = false;
      taker.onConnection(idle);
      return;
    }
    const limits = this.limits();
    if (this.#all.size < limits.connections) taker.onConnection(this.#make(limits, taker));
    else this.#waiting.enter(taker, limits);
  }

  /** One that is this client's; else the oldest of the others makes room. */
  #idleOf({ sourceAddress, sourcePort }: ClientEnds): PooledConnection | undefined {
    const own = this.#idle.findIndex(
      ({ ends }) => ends?.sourcePort === sourcePort && ends.sourceAddress === sourceAddress,
    );
    if (own !== -1) return this.#idle.splice(own, 1)[0];
    if (this.#idle.length > 0 && this.#all.size >= this.limits().connections) this.#drop(this.#idle[0]!);
    return undefined;
  }

  withdraw(taker: Taker): void {
    this.#waiting.leave(taker);
  }

  #make(limits: UpstreamLimits, taker: Taker): PooledConnection {
    return this.#makeFor(limits, this.#tellsClients ? taker.clientEnds() : null);
  }

  #makeFor(limits: UpstreamLimits, ends: ClientEnds | null): PooledConnection {
    const connect: Connect = (servername, callback) => {
      this.#connector.connect({ servername, alpn: 'http/1.1', ends }, (error, socket) => {
        connection.address = socket?.remoteAddress;
        callback(error, socket);
      });
    };
    const onDisconnect = () => {
      connection.reused = false;
      if (connection.idle) this.#remove(connection);
    };
    // In the clear it costs less without undici.
    const client = this.origin.startsWith('https:')
      ? this.#makeUndici(limits, connect, onDisconnect)
      : new PlainClient({ connect, mostHeadBytes: limits.headBytes, onDisconnect });
    const connection = new PooledConnection(this, client, this.#generation, ends);
    this.#all.add(connection);
    return connection;
  }

  #makeUndici({ headBytes }: UpstreamLimits, connect: Connect, onDisconnect: () => void): UpstreamClient {
    const client = new Client(this.origin, {
      allowH2: false,
      connect: ({ servername }, callback) => {
        connect(servername ?? null, (error, socket) => {
          if (socket === null) {
            callback(error!, null);
            return;
          }
          keepResetsApart(socket);
          callback(null, socket);
          repairParser(socket);
        });
      },
      maxHeaderSize: headBytes,
      pipelining: 1,
    });
    // Nothing is lost by it: the exchange hears of its own errors.
    (client as NodeJS.EventEmitter).on('error', () => {});
    client.on('disconnect', onDisconnect);
    return client as unknown as UpstreamClient;
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
      if (this.#tellsClients) {
        this.#drop(connection);
        next.onConnection(this.#make(limits, next));
      } else next.onConnection(connection);
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
    return this.#makeFor(this.limits(), connection.ends);
  }

  #remove(connection: PooledConnection): void {
    if (connection.over) return;
    this.#drop(connection);
    const limits = this.limits();
    if (this.#all.size >= limits.connections) return;
    const next = this.#waiting.next();
    if (next !== null) next.onConnection(this.#make(limits, next));
  }

  #drop(connection: PooledConnection): void {
    connection.over = true;
    this.#all.delete(connection);
    if (connection.idle) {
      connection.idle = false;
      this.#idle.splice(this.#idle.indexOf(connection), 1);
    }
    // Not at once: undici is in the middle of telling of this very connection.
    setImmediate(() => connection.client.destroy());
  }

  moved(addresses: ReadonlySet<string>): void {
    for (const connection of [...this.#all]) {
      if (connection.address === undefined || addresses.has(connection.address)) continue;
      if (connection.idle) this.#drop(connection);
      else connection.generation = outdated;
    }
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
    this.#waiting.close();
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
