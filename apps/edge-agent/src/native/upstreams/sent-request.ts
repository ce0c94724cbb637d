import { clientKey } from '@lockstep/contract';
import type { Dispatcher } from 'undici';
import type { OutgoingRequest } from './outgoing-request.ts';
import type { RequestBody } from './request-body.ts';
import type { CarriedRequest } from './request-carrier.ts';
import type { ChoiceRequest } from './upstream-choice.ts';

/** RFC 9110, section 9.2.2. */
const idempotent = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/** What connections, waiting rooms, choices and the access log read of a request. */
export class SentRequest implements CarriedRequest, ChoiceRequest {
  readonly method: Dispatcher.HttpMethod;
  readonly path: string;
  readonly headers: string[];
  readonly body: RequestBody | null;
  /** The protocols that the client wants to switch to. */
  readonly upgrade: string | null;
  headersTimeout = 0;
  bodyTimeout = 0;
  /**
   * Without this, undici would take the client's Host for the name in the upstream's certificate, and connect anew whenever it differs from
   * the last request's.
   */
  servername: string | undefined = undefined;
  /**
   * By `performance.now()`, of the last attempt: when there was a connection for it, when it went out on it, and when the head of the answer
   * came; 0: not yet.
   */
  connectionAt = 0;
  sentAt = 0;
  headAt = 0;
  /** How often it went to an upstream. */
  attempts = 0;

  readonly clientAddress: string;

  constructor(request: OutgoingRequest, body: RequestBody | null, upgrade: string | null) {
    this.method = request.method as Dispatcher.HttpMethod;
    this.path = request.path;
    this.headers = request.headers;
    this.body = body;
    this.upgrade = upgrade;
    this.clientAddress = request.clientAddress;
  }

  /** It does no harm where an upstream acts on it once more, and there is no body that was sent already. */
  get mayGoTwice(): boolean {
    return this.body === null && idempotent.has(this.method);
  }

  /** On whose account it waits for a connection. */
  get client(): string {
    return clientKey(this.clientAddress);
  }
}
