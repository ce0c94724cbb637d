import type { ServerResponse } from 'node:http';
import type { Duplex, Transform } from 'node:stream';
import type { EdgeSettings } from '@lockstep/contract';
import { breakOff } from '../../server/break-off.ts';
import type { ClientRequest, ClientResponse } from '../../server/client-message.ts';
import { flushHead } from '../../server/flush-head.ts';
import { pageInstead } from '../rules/pages.ts';
import type { RouteRules } from '../rules/route-rules.ts';
import type { AnswerHandler, Release } from '../upstreams/answer-handler.ts';
import type { AnswerHead } from '../upstreams/answer-head.ts';
import { ExchangeError, type FailureCause } from '../upstreams/failure-cause.ts';
import type { ClientEnds } from '../upstreams/proxy-header.ts';
import { RequestBody } from '../upstreams/request-body.ts';
import type { UpstreamGroup, UpstreamRequest } from '../upstreams/upstreams.ts';
import { failureAnswer } from './failure-answer.ts';
import { forwardAnswer } from './forward-answer.ts';
import type { ReadRequest } from './read-request.ts';
import { changeFields, sendRuled } from './ruled-answer.ts';
import { writeAnswerHead, writeInterim, writeTrailer } from './write-answer.ts';

/** A client that wants to switch to another protocol. */
export interface Upgrade {
  /** Which ones, as it named them. */
  protocols: string;
  /** Takes both ends when the upstream agrees on one. `fields` are those of its answer, as flat pairs. */
  onAgreed(fields: string[], protocol: string, upstream: Duplex): void;
}

export interface ExchangeOptions {
  request: ClientRequest;
  response: ClientResponse;
  upstreams: UpstreamGroup;
  rules: RouteRules | null;
  forwarded: ReadRequest;
  settings: EdgeSettings;
  /** Called once, when the client has its answer or is gone. */
  onDone(statusCode: number): void;
  upgrade: Upgrade | null;
}

/** Above it there is nothing to gain. */
const mostAtOnce = 8_192;

/** One request and its response: what goes from the client's stream to an upstream, and what comes back. */
export class Exchange implements AnswerHandler {
  readonly #options: ExchangeOptions;
  readonly #body: RequestBody | null;
  #upstreamRequest: UpstreamRequest | null = null;
  #sentBytes = 0;
  #cause: FailureCause | null = null;
  #answered = false;
  /** The status allows no body, or the upstream has ended it: the answer is complete. */
  #bodiless = false;
  /** How long the body is, over HTTP/1.1, where that is known and it goes on as it is. */
  #awaitedBytes = -1;
  /** All of the body, until the end is told. */
  #only: Buffer | null = null;
  /** Nothing more comes from an upstream. */
  #ended = false;
  #upgraded = false;
  /** What the body goes through on its way, by the route's rules. */
  #through: Transform | null = null;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    const { request, forwarded, settings, upstreams } = options;
    this.#body = forwarded.hasBody
      ? new RequestBody(request, settings.limits, expectsContinue(request), upstreams.bodyBytes ?? undefined)
      : null;
  }

  get body(): RequestBody | null {
    return this.#body;
  }

  get upstreamRequest(): UpstreamRequest | null {
    return this.#upstreamRequest;
  }

  /** Of the body of the answer. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** Why the answer of the upstream did not come. */
  get cause(): FailureCause | null {
    return this.#cause;
  }

  /** It holds a connection that others wait for. */
  get inDemand(): boolean {
    return this.#upstreamRequest?.inDemand ?? false;
  }

  get isOpen(): boolean {
    return !this.#options.response.headersSent;
  }

  clientEnds(): ClientEnds {
    const { request, forwarded } = this.#options;
    const { remoteAddress, remotePort = 0, localAddress = '', localPort = 0 } = request.socket;
    const sourceAddress = forwarded.clientAddress;
    return {
      sourceAddress,
      // Of a client behind another proxy nobody knows it.
      sourcePort: plainAddress(remoteAddress ?? '') === sourceAddress ? remotePort : 0,
      targetAddress: plainAddress(localAddress),
      targetPort: localPort,
    };
  }

  start(): void {
    const { response, upstreams, forwarded, upgrade } = this.#options;
    response.on('close', this.#onClientClose);
    this.#upstreamRequest = upstreams.send(forwarded, this.#body, upgrade?.protocols ?? null, this);
  }

  #onClientClose = (): void => {
    const { response, onDone } = this.#options;
    if (!this.#ended) {
      this.#upstreamRequest?.abandon();
      this.#body?.destroy();
    }
    this.#through?.destroy();
    if (!this.#upgraded) onDone(response.headersSent ? response.statusCode : 499);
  };

  onInterim(statusCode: number, head: AnswerHead): void {
    const { request, response } = this.#options;
    writeInterim(request, response, statusCode, head);
  }

  onHead(statusCode: number, head: AnswerHead, statusMessage: string | undefined): void {
    const { response, rules, forwarded } = this.#options;
    // The edge answered itself, for the body that is faulty or does not come, and that answer is not out yet.
    if (response.headersSent) throw new ExchangeError('client_body_broke_off');
    this.#through = writeAnswerHead(response, statusCode, head, statusMessage, rules, forwarded);
    if (this.#through !== null) this.#sendThrough(this.#through);
    this.#answered = true;
    if (this.#through === null) {
      this.#awaitedBytes = head.bodyBytes;
      // Before a large body the head goes out by itself: in one write with it, all of it would be copied once more.
      if (head.bodyBytes > mostAtOnce && !('stream' in response)) flushHead(response);
    }
    this.#bodiless = statusCode === 205 || (head.ends && this.#through === null);
    if (this.#bodiless) response.end();
  }

  onData(chunk: Buffer, release?: Release): void {
    if (this.#bodiless) return;
    this.#sentBytes += chunk.length;
    // Whole at once: it goes out with its head and its end, in one write.
    if (chunk.length === this.#awaitedBytes && chunk.length <= mostAtOnce && release === undefined) {
      this.#only = chunk;
      return;
    }
    const response = this.#through ?? this.#options.response;
    const upstreamRequest = this.#upstreamRequest!;
    // What transforms it may hold it for longer than the write.
    const free = this.#through === null ? release : undefined;
    const more = free === undefined ? response.write(chunk) : response.write(chunk, free);
    if (more || upstreamRequest.paused) return;
    upstreamRequest.pause();
    response.once('drain', () => upstreamRequest.resume());
  }

  onEnd(trailer: string[] | null): void {
    const response = this.#options.response as ServerResponse;
    this.#ended = true;
    if (trailer !== null && !this.#bodiless) writeTrailer(response, trailer);
    if (this.#only !== null) endWith(response, this.#only);
    else (this.#through ?? response).end();
  }

  #sendThrough(through: Transform): void {
    const { response } = this.#options;
    through.on('error', () => breakOff(response));
    through.pipe('stream' in response ? response.stream : response);
  }

  onUpgrade(head: AnswerHead, protocol: string, upstream: Duplex): void {
    const { rules, forwarded } = this.#options;
    let { fields } = forwardAnswer(head, 101, false);
    if (rules !== null) fields = changeFields(fields, rules, forwarded, false);
    this.#ended = true;
    this.#upgraded = true;
    this.#options.upgrade!.onAgreed(fields, protocol, upstream);
  }

  onFailed(cause: FailureCause, dialled: boolean): void {
    const { response, forwarded, rules, settings } = this.#options;
    this.#ended = true;
    this.#cause = cause;
    if (this.#answered) this.#breakOff();
    else if (!response.headersSent) {
      if (cause === 'client_body_too_large' && !('stream' in response))
        response.setHeader('connection', 'close');
      const failure = failureAnswer(cause, dialled, forwarded.requestId);
      sendRuled(response, pageInstead(failure, rules?.pages ?? null, settings, forwarded), rules, forwarded);
      this.#body?.destroy();
    }
  }

  onBroken(): void {
    this.#ended = true;
    this.#breakOff();
  }

  #breakOff(): void {
    this.#through?.destroy();
    breakOff(this.#options.response);
  }
}

/** As text, a byte a character: Node joins that to the head in one piece; a buffer is a second one, and costs a tenth of a small exchange. */
function endWith(response: ServerResponse, body: Buffer): void {
  if ('stream' in response) response.end(body);
  else response.end(body.latin1Slice(), 'latin1');
}

function expectsContinue({ headers, httpVersion }: ClientRequest): boolean {
  const { expect } = headers;
  // In HTTP/1.0 it has no meaning (RFC 9110, section 10.1.1). Other expectations, and lists with one, were refused.
  return typeof expect === 'string' && httpVersion !== '1.0' && /^\s*100-continue/i.test(expect);
}

/** IPv4 in its own form. */
function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/, '');
}
