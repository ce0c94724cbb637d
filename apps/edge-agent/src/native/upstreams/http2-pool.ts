import type { StreamOwner } from './http2-exchange.ts';
import { Http2Session } from './http2-session.ts';
import type { CarriedRequest, CarrierHandler } from './request-carrier.ts';
import type { UpstreamConnector } from './upstream-connector.ts';
import type { UpstreamName } from './upstream-name.ts';
import type { Connection, Taker, UpstreamLimits, UpstreamPool } from './upstream-pool.ts';
import { WaitingRoom } from './waiting-room.ts';

export interface Http2PoolOptions {
  key: string;
  origin: string;
  servername: string | undefined;
  secure: boolean;
  connector: UpstreamConnector;
  name: UpstreamName | null;
  limits(): UpstreamLimits;
  /** To the same upstream, for what switches to another protocol. */
  createHttp1(): UpstreamPool;
}

/** The place of one exchange on a session. */
class Place implements Connection, StreamOwner {
  readonly client = this;
  readonly reused: boolean;
  readonly secure: boolean;
  readonly #pool: Http2Pool;
  #session: Http2Session;
  #left = false;
  #moved = false;

  constructor(pool: Http2Pool, session: Http2Session, secure: boolean) {
    this.#pool = pool;
    this.#session = session;
    this.secure = secure;
    this.reused = session.used;
    session.enter();
  }

  get headBytes(): number {
    return this.#pool.limits().headBytes;
  }

  dispatch(request: CarriedRequest, handler: CarrierHandler): void {
    this.#session.carry(request, handler, this);
  }

  again(request: CarriedRequest, handler: CarrierHandler): boolean {
    if (this.#moved || this.#left) return false;
    this.#moved = true;
    const before = this.#session;
    this.#session = this.#pool.sessionBeside(before);
    this.#session.enter();
    before.leave();
    this.#session.carry(request, handler, this);
    return true;
  }

  sessionError(): Error | null {
    return this.#session.error;
  }

  release(): void {
    this.#session.used = true;
    this.discard();
  }

  discard(): void {
    if (this.#left) return;
    this.#left = true;
    this.#session.leave();
  }

  replace(): Connection {
    const session = this.#pool.sessionBeside(this.#session);
    const place = new Place(this.#pool, session, this.secure);
    this.discard();
    return place;
  }
}

/** The sessions of a worker with one upstream over HTTP/2, and who waits for room on one. */
export class Http2Pool implements UpstreamPool {
  readonly key: string;
  readonly origin: string;
  readonly servername: string | undefined;
  readonly limits: () => UpstreamLimits;
  readonly switchesApart = true;
  readonly #options: Http2PoolOptions;
  /** Those that take requests; and those that only end what they have. */
  readonly #open = new Set<Http2Session>();
  readonly #ending = new Set<Http2Session>();
  readonly #waiting = new WaitingRoom<Taker>();
  #http1: UpstreamPool | null = null;
  #retired = false;

  constructor(options: Http2PoolOptions) {
    this.#options = options;
    this.key = options.key;
    this.origin = options.origin;
    this.servername = options.servername;
    this.limits = options.limits;
  }

  get open(): number {
    return this.#open.size + this.#ending.size + (this.#http1?.open ?? 0);
  }

  get pending(): number {
    return this.#waiting.size + (this.#http1?.pending ?? 0);
  }

  take(taker: Taker): void {
    const { name, createHttp1 } = this.#options;
    if (name?.due) name.refresh();
    // Few upstreams take such a switch over HTTP/2 (RFC 8441), and those that do take it over HTTP/1.1.
    if (taker.upgrade !== null) {
      this.#http1 ??= createHttp1();
      this.#http1.take(taker);
      return;
    }
    const session = this.#sessionFor(taker);
    if (session !== null) taker.onConnection(this.#placeOn(session));
    else this.#waiting.enter(taker, this.limits());
  }

  withdraw(taker: Taker): void {
    this.#waiting.leave(taker);
    this.#http1?.withdraw(taker);
  }

  #placeOn(session: Http2Session): Place {
    return new Place(this, session, this.#options.secure);
  }

  /** That with the fewest streams, or a new one where there may be one. */
  #sessionFor(taker: Taker): Http2Session | null {
    // An address proves the name that it is asked for.
    const servername = this.servername ?? (this.#options.secure ? taker.hostName : '');
    let own = 0;
    let least: Http2Session | null = null;
    for (const session of this.#open) {
      if (session.servername !== servername) continue;
      own += 1;
      if (session.hasRoom && session.streams < (least?.streams ?? Number.POSITIVE_INFINITY)) least = session;
    }
    // Each address has its share: connections go to them in turn.
    const wanted = this.#options.name?.size ?? 1;
    if (least !== null && own >= wanted) return least;
    return this.#open.size < this.limits().connections ? this.#make(servername) : least;
  }

  /** Another session than that, which takes no more. */
  sessionBeside(one: Http2Session): Http2Session {
    for (const session of this.#open) {
      if (session !== one && session.hasRoom && session.servername === one.servername) return session;
    }
    return this.#make(one.servername);
  }

  #make(servername: string): Http2Session {
    const { connector, secure } = this.#options;
    const session = new Http2Session({
      secure,
      servername,
      connect: (callback) =>
        connector.connect(
          { servername: servername === '' ? null : servername, alpn: 'h2', ends: null },
          callback,
        ),
      onEnding: (ending) => {
        if (!this.#open.delete(ending)) return;
        this.#ending.add(ending);
        this.#admit();
      },
      onClosed: (closed) => {
        this.#ending.delete(closed);
        this.#admit();
      },
      onRoom: () => this.#admit(),
    });
    this.#open.add(session);
    return session;
  }

  #admit(): void {
    while (this.#waiting.size > 0 && !this.#retired) {
      const session = this.#sessionFor(this.#waiting.first!);
      if (session === null) return;
      this.#waiting.next()!.onConnection(this.#placeOn(session));
    }
  }

  moved(addresses: ReadonlySet<string>): void {
    for (const session of [...this.#open]) {
      if (session.address !== undefined && !addresses.has(session.address)) session.end();
    }
    this.#http1?.moved(addresses);
  }

  renew(): void {
    for (const session of [...this.#open]) session.end();
    this.#http1?.renew();
  }

  retire(): void {
    this.renew();
    this.#http1?.retire();
  }

  async destroy(): Promise<void> {
    this.#retired = true;
    this.#waiting.close();
    for (const session of [...this.#open, ...this.#ending]) session.destroy();
    await this.#http1?.destroy();
  }
}
