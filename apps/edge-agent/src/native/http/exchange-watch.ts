import type { EdgeSettings } from '@lockstep/contract';
import type { ClientRequest, ClientResponse } from '../../server/client-message.ts';
import type { RefusalReason } from '../../server/request-refusal.ts';
import type { ServedRoute } from '../routing/route-table.ts';
import type { FailureCause } from '../upstreams/failure-cause.ts';
import type { RequestBody } from '../upstreams/request-body.ts';
import type { UpstreamRequest } from '../upstreams/upstreams.ts';
import type { ReadRequest } from './read-request.ts';

interface WatchedExchange {
  readonly inDemand: boolean;
  readonly sentBytes: number;
  readonly cause: FailureCause | null;
  readonly upstreamRequest: UpstreamRequest | null;
}

/** How a client of an exchange gets on, looked at about every second. */
export class ExchangeWatch {
  readonly request: ClientRequest;
  readonly response: ClientResponse;
  /** Set once the request is forwarded. */
  body: RequestBody | null = null;
  /** The same; whether others wait for the connection that it holds. */
  exchange: WatchedExchange | null = null;
  /** What is asked for, once that was read, and by which route. */
  forwarded: ReadRequest | null = null;
  route: ServedRoute | null = null;
  /** Who sent what could not be read: the connection may be gone when it is told. */
  peer: string | undefined;
  /** Why the edge answered by itself. */
  cause: RefusalReason | null = null;
  /** By `performance.now()`. */
  readonly startedAt = performance.now();
  /** Its place among those that are open; -1 while it is none of them. */
  place = -1;
  #received = 0;
  #receivedAt: number | null = null;
  #unsent = 0;
  #queued = 0;
  #takenAt = 0;
  /** Each is said once; the end may take a moment. */
  #bodyCut = false;
  #readerCut = false;

  constructor(request: ClientRequest, response: ClientResponse) {
    this.request = request;
    this.response = response;
  }

  notePeer(): void {
    this.peer = this.request.socket?.remoteAddress?.replace(/^::ffff:(?=\d+\.)/, '');
  }

  /** Of its body, as far as it was read. */
  get bytesIn(): number {
    return this.body?.receivedBytes ?? 0;
  }

  /** Of the body of the answer. */
  get bytesOut(): number {
    const sent = this.exchange?.sentBytes ?? 0;
    if (sent > 0) return sent;
    if ('stream' in this.response) return this.response.ownBytes;
    const announced = this.response.getHeader('content-length');
    return this.request.method === 'HEAD' ? 0 : Number(announced ?? 0);
  }

  /** What the client let go past its time; null while it gets on, or while it is not the one that is waited for. */
  check(now: number, { bodyIdleMs, writeIdleMs, firstByteMs }: EdgeSettings['timeouts']): Stall | null {
    const { body, request } = this;
    const waitedFor =
      body !== null && !this.#bodyCut && request.readableFlowing === true && !request.complete;
    if (!waitedFor || this.#receivedAt === null) this.#receivedAt = now;
    else if (body.receivedBytes !== this.#received) {
      this.#received = body.receivedBytes;
      this.#receivedAt = now;
    } else {
      // Before its 100 it waits for the upstream.
      const waitsToo = body.expectsContinue && body.receivedBytes === 0;
      if (now - this.#receivedAt > bodyIdleMs + (waitsToo ? firstByteMs : 0)) {
        this.#bodyCut = true;
        return 'stalled_body';
      }
    }
    const unsent = this.response.writableLength;
    const queued = unsent === 0 ? 0 : queuedBelow(this.response);
    if (unsent === 0 || unsent !== this.#unsent || queued !== this.#queued) {
      this.#unsent = unsent;
      this.#queued = queued;
      this.#takenAt = now;
    } else if (!this.#readerCut && now - this.#takenAt > writeIdleMs) {
      this.#readerCut = true;
      return 'stalled_reader';
    }
    return null;
  }
}

export type Stall = 'stalled_body' | 'stalled_reader';

/** What the kernel has not yet taken of a write that Node counts as a whole; of HTTP/2 that is not told. */
function queuedBelow(response: ClientResponse): number {
  if ('stream' in response) return 0;
  const socket = response.socket as { _handle?: { _parent?: { writeQueueSize?: number } } | null } | null;
  return socket?._handle?._parent?.writeQueueSize ?? 0;
}
