import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { EdgeSettings } from '@lockstep/contract';
import type { Dispatcher } from 'undici';
import { breakOff } from '../../server/break-off.ts';
import type { ClientRequest, ClientResponse } from '../../server/client-message.ts';
import { clientKey } from '../clients/client-key.ts';
import type { ServedRoute } from '../routing/route-table.ts';
import { AnswerHead } from '../upstreams/answer-head.ts';
import { ExchangeError, type FailureCause, failureCauseOf } from '../upstreams/failure-cause.ts';
import { RequestBody } from '../upstreams/request-body.ts';
import { continueStatus } from '../upstreams/undici-repairs.ts';
import type { Connection, Taker } from '../upstreams/upstream-pool.ts';
import type { Upstream } from '../upstreams/upstream-pools.ts';
import { answerFailure } from './answer-failure.ts';
import { forwardAnswer } from './forward-answer.ts';
import type { ReadRequest } from './read-request.ts';
import { writeAnswerHead, writeInterim } from './write-answer.ts';

export interface ExchangeOptions {
  request: ClientRequest;
  response: ClientResponse;
  route: ServedRoute;
  forwarded: ReadRequest;
  limits: EdgeSettings['limits'];
  /** Called once, when the client has its answer or is gone. */
  onDone(statusCode: number): void;
  /** Called for whatever keeps the upstream's answer, or a part of it, from the client. */
  onFailure(cause: FailureCause, upstream: string, error: unknown): void;
  /** For an upgrade: takes both ends when the upstream agrees. `fields` are those of its answer, as flat pairs. */
  onUpgrade?(fields: string[], upstream: Duplex): void;
}

const clientGone = new Error('the client went away');
/** RFC 9110, section 9.2.2. */
const idempotent = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);
const mostInterimAnswers = 32;

/**
 * One request and its response, from the client's stream to an upstream and back. undici turns what is thrown in its callbacks
 * into `onResponseError`, which throws nothing: so one exchange ends, and nothing else.
 */
export class Exchange implements Dispatcher.DispatchHandler, Taker {
  readonly #options: ExchangeOptions;
  readonly #body: RequestBody | null;
  #upstream: Upstream | null = null;
  #connection: Connection | null = null;
  #controller: Dispatcher.DispatchController | null = null;
  #attempt = 0;
  #first = 0;
  /** The request went out on a connection that had carried others. */
  #reused = false;
  #repeated = false;
  /** A byte of an answer came. */
  #began = false;
  #startedAt = 0;
  #interimAnswers = 0;
  #headTimer: NodeJS.Timeout | null = null;
  #answered = false;
  /** The status allows no body: the answer is complete, whatever the upstream says yet. */
  #bodiless = false;
  #ended = false;
  #gone = false;
  #upgraded = false;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    const { request, forwarded, limits } = options;
    this.#body = forwarded.hasBody ? new RequestBody(request, limits, expectsContinue(request)) : null;
  }

  get body(): RequestBody | null {
    return this.#body;
  }

  get client(): string {
    return clientKey(this.#options.forwarded.clientAddress);
  }

  /** It holds a connection that others wait for. */
  get inDemand(): boolean {
    return this.#connection !== null && this.#upstream!.pool.pending > 0;
  }

  start(): void {
    const { route, response } = this.#options;
    this.#first = route.turn;
    route.turn = (route.turn + 1) % route.upstreams.length;
    response.on('close', this.#onClientClose);
    this.#take();
  }

  #take(): void {
    const { route } = this.#options;
    this.#upstream = route.upstreams[(this.#first + this.#attempt) % route.upstreams.length]!;
    this.#attempt += 1;
    this.#upstream.pool.take(this);
  }

  onConnection(connection: Connection): void {
    this.#connection = connection;
    this.#dispatch(connection);
  }

  onBusy(error: ExchangeError): void {
    this.onResponseError(null, error);
  }

  #dispatch({ client }: Connection): void {
    const { request, forwarded, onUpgrade } = this.#options;
    const { servername, limits } = this.#upstream!;
    const { firstByteMs, idleMs } = limits();
    client.dispatch(
      {
        path: forwarded.path,
        method: request.method as Dispatcher.HttpMethod,
        headers: forwarded.headers,
        body: this.#body,
        headersTimeout: firstByteMs,
        bodyTimeout: idleMs,
        upgrade: onUpgrade === undefined ? null : 'websocket',
        // Without this, undici would take the client's Host for the name in the upstream's certificate, and connect anew whenever it
        // differs from the last request's.
        servername,
      } as Dispatcher.DispatchOptions,
      this,
    );
  }

  #onClientClose = (): void => {
    const { response, onDone } = this.#options;
    this.#gone = true;
    if (!this.#ended) {
      if (this.#connection === null) this.#upstream?.pool.withdraw(this);
      this.#abort(clientGone);
      this.#body?.destroy();
      this.#stopHeadTimer();
    }
    if (!this.#upgraded) onDone(response.headersSent ? response.statusCode : 499);
  };

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    this.#reused = this.#connection!.reused;
    this.#startedAt = Date.now();
    if (this.#gone) controller.abort(clientGone);
  }

  /** Called by undici at the first byte of each answer, interim ones included. */
  onResponseStarted(): void {
    this.#began = true;
  }

  onRequestUpgrade(_: Dispatcher.DispatchController, _status: number, head: unknown, socket: Duplex): void {
    const connection = this.#connection!;
    if (this.#gone) {
      this.#ended = true;
      socket.destroy();
      connection.discard();
      return;
    }
    const { pairs } = head as AnswerHead;
    const protocol = pairs.findIndex((text, i) => i % 2 === 0 && text.toLowerCase() === 'upgrade');
    // RFC 9110, section 7.8: only to what was asked for.
    if (this.#options.onUpgrade === undefined || pairs[protocol + 1]?.toLowerCase() !== 'websocket') {
      throw new ExchangeError('upstream_upgrade_unasked');
    }
    const { fields } = forwardAnswer(head as AnswerHead, 101, false);
    this.#ended = true;
    this.#upgraded = true;
    this.#stopHeadTimer();
    // It is the client's alone from here on, as its own connection is: others need not wait for its end.
    connection.discard();
    (socket as Socket).setTimeout(this.#upstream!.limits().tunnelIdleMs, () => socket.destroy());
    this.#options.onUpgrade(fields, socket);
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    statusCode: number,
    head: unknown,
    statusMessage?: string,
  ): void {
    if (this.#gone) return;
    // The edge answered itself, for the body that is faulty or does not come, and that answer is not out yet.
    if (statusCode >= 200 && this.#options.response.headersSent)
      throw new ExchangeError('client_body_broke_off');
    if (!(head instanceof AnswerHead)) throw new Error('undici gave a head of another shape');
    if (statusCode < 200) {
      this.#passInterim(statusCode === continueStatus ? 100 : statusCode, head);
      return;
    }
    this.#stopHeadTimer();
    this.#bodiless = statusCode === 205;
    const { response } = this.#options;
    writeAnswerHead(response, statusCode, head, statusMessage);
    this.#answered = true;
    if (this.#bodiless) response.end();
  }

  /** A proxy passes interim answers on (RFC 9110, section 15.2). The time to the final head goes on running. */
  #passInterim(statusCode: number, head: AnswerHead): void {
    if (statusCode < 100) throw new ExchangeError('upstream_head_invalid', `the status is ${statusCode}`);
    if (statusCode === 101) throw new ExchangeError('upstream_upgrade_unasked');
    this.#interimAnswers += 1;
    if (this.#interimAnswers > mostInterimAnswers) {
      throw new ExchangeError('upstream_head_invalid', `more than ${mostInterimAnswers} interim answers`);
    }
    if (this.#interimAnswers === 1) this.#startHeadTimer();
    const { request, response } = this.#options;
    writeInterim(request, response, statusCode, head);
  }

  /** undici begins anew to count with each interim answer; this does not. */
  #startHeadTimer(): void {
    const { firstByteMs } = this.#upstream!.limits();
    const start = (ms: number) => {
      if (this.#answered || this.#ended || this.#gone) return;
      this.#headTimer = setTimeout(
        () => this.#abort(new ExchangeError('upstream_timeout_first_byte')),
        Math.max(ms, 1),
      );
    };
    // A client may take long with its body, and has deadlines of its own.
    if (this.#body === null) start(this.#startedAt + firstByteMs - Date.now());
    else if (this.#body.readableEnded) start(firstByteMs);
    else this.#body.once('end', () => start(firstByteMs));
  }

  #stopHeadTimer(): void {
    if (this.#headTimer !== null) clearTimeout(this.#headTimer);
    this.#headTimer = null;
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#gone || this.#bodiless) return;
    const response = this.#options.response as ServerResponse;
    // Pausing is a request: what had been parsed already still comes.
    if (response.write(chunk) || controller.paused) return;
    controller.pause();
    response.once('drain', () => {
      try {
        controller.resume();
      } catch (unexpected) {
        this.#abort(unexpected as Error);
      }
    });
  }

  /** Outside of undici's own callbacks, what it throws would reach nobody. */
  #abort(reason: Error): void {
    try {
      this.#controller?.abort(reason);
    } catch (unexpected) {
      this.onResponseError(null, unexpected);
    }
  }

  onResponseEnd(): void {
    this.#ended = true;
    if (!this.#gone) this.#options.response.end();
    this.#connection!.release();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: unknown): void {
    try {
      this.#fail(error);
    } catch (unexpected) {
      this.#ended = true;
      this.#options.onFailure('edge_failed', this.#upstream!.origin, unexpected);
      if (!this.#gone) breakOff(this.#options.response);
    }
  }

  #fail(error: unknown): void {
    const { response, request, route, forwarded, onFailure } = this.#options;
    const cause = failureCauseOf(error, this.#answered);
    const connection = this.#connection;
    this.#connection = null;
    this.#stopHeadTimer();
    if (this.#gone) {
      this.#ended = true;
      connection?.discard();
      return;
    }
    // The upstream had closed a connection that it had kept until then, and did nothing: a request that may be repeated goes out
    // once more, on a new one (RFC 9112, section 9.3.1).
    if (
      this.#reused &&
      !this.#began &&
      !this.#repeated &&
      this.#body === null &&
      (cause === 'upstream_closed' || cause === 'upstream_reset') &&
      idempotent.has(request.method!)
    ) {
      this.#repeated = true;
      this.#controller = null;
      this.onConnection(connection!.replace());
      return;
    }
    connection?.discard();
    const { origin } = this.#upstream!;
    onFailure(cause, origin, error);
    if (this.#answered || response.headersSent) {
      this.#ended = true;
      if (this.#answered) breakOff(response);
      return;
    }
    // Only a failed dial is tried again elsewhere: nothing of this request has left the edge. Once a connection carried any of
    // it the upstream may have acted on it, and repeating it could place an order twice (RFC 9110, section 9.2.2).
    const dialled = this.#controller !== null;
    if (!dialled && this.#attempt < route.upstreams.length && cause !== 'request_not_forwardable') {
      this.#take();
      return;
    }
    this.#ended = true;
    answerFailure(response, cause, dialled, forwarded.requestId);
    this.#body?.destroy();
  }
}

function expectsContinue({ headers, httpVersion }: ClientRequest): boolean {
  const { expect } = headers;
  // In HTTP/1.0 it has no meaning (RFC 9110, section 10.1.1). Other expectations, and lists with one, were refused.
  return typeof expect === 'string' && httpVersion !== '1.0' && /^\s*100-continue/i.test(expect);
}
