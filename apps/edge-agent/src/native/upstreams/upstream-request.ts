import { isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Dispatcher } from 'undici';
import { agreedProtocol } from './agreed-protocol.ts';
import type { AnswerHandler, Release } from './answer-handler.ts';
import { AnswerHead } from './answer-head.ts';
import { ExchangeError, type FailureCause, failureCauseOf } from './failure-cause.ts';
import { HeldAnswer } from './held-answer.ts';
import { InterimAnswers } from './interim-answers.ts';
import type { OutgoingRequest } from './outgoing-request.ts';
import type { ClientEnds } from './proxy-header.ts';
import { Repeats } from './repeats.ts';
import type { RequestBody } from './request-body.ts';
import type { RequestTargets } from './request-targets.ts';
import type { RetryReason } from './retry-budget.ts';
import { retryReasonOf } from './retry-reason.ts';
import { SentRequest } from './sent-request.ts';
import { forwardAnswerTrailer } from './trailer-fields.ts';
import { continueStatus } from './undici-repairs.ts';
import type { MemberRequest, UpstreamMember } from './upstream-member.ts';
import type { Connection, Taker, UpstreamPool } from './upstream-pool.ts';

const clientGone = new Error('the client went away');

/** An answer that is not taken, as the request is repeated. */
class Declined extends Error {}

/**
 * One request on its way to an upstream, and the answer back to whoever takes it. One object is all of it: what waits for a connection, what
 * undici reads as the options of a dispatch, and what it calls back. undici turns what is thrown in its callbacks into
 * `onResponseError`, which throws nothing: so one exchange ends, and nothing else.
 */
export class UpstreamRequest extends SentRequest implements Dispatcher.DispatchHandler, Taker, MemberRequest {
  readonly #targets: RequestTargets;
  /** A `HeldAnswer` stands in front of whose it is while it is not certain that there will be all of the answer. */
  #handler: AnswerHandler;
  #upstream: UpstreamPool | null = null;
  #connection: Connection | null = null;
  #controller: Dispatcher.DispatchController | null = null;
  #place = -1;
  /** Null where nothing is counted or known of the upstream, and while it is with none. */
  #member: UpstreamMember | null = null;
  /** It shows whether its upstream is well again after a rest, and there is another should it not be. */
  #onTrial = false;
  /** The upstream was found dead while it was dialled. */
  #movesOn = false;
  /** Null until an attempt was in vain, or may be. */
  #repeats: Repeats | null = null;
  #status = 0;
  /** The request went out on a connection that had carried others. */
  #reused = false;
  #repeated = false;
  /** A byte of an answer came. */
  #began = false;
  #interim: InterimAnswers | null = null;
  #totalTimer: NodeJS.Timeout | null = null;
  /** The Host of the client, where upstreams receive others. */
  #host = '';
  #answered = false;
  #ended = false;
  #abandoned = false;

  constructor(
    targets: RequestTargets,
    request: OutgoingRequest,
    body: RequestBody | null,
    upgrade: string | null,
    handler: AnswerHandler,
  ) {
    super(request, body, upgrade);
    this.#targets = targets;
    this.#handler = handler;
  }

  get hostName(): string {
    const { hosts } = this.#targets;
    const host = hosts === null ? this.headers[1]! : (hosts[this.#place] ?? this.#host);
    const name = host.replace(/:\d*$/, '');
    return isIP(name.replace(/^\[|\]$/g, '')) === 0 ? name : '';
  }

  clientEnds(): ClientEnds {
    return this.#handler.clientEnds();
  }

  /** Of the last attempt. */
  get upstreamOrigin(): string | undefined {
    return this.#upstream?.origin;
  }

  /** It holds a connection that others wait for. */
  get inDemand(): boolean {
    return this.#connection !== null && this.#upstream!.pending > 0;
  }

  /** To be called once. */
  start(): void {
    const { totalMs, hosts, retries } = this.#targets;
    retries?.onRequest(Date.now());
    if (totalMs !== null) this.#totalTimer = setTimeout(() => this.#onTotal(), totalMs);
    if (hosts !== null) this.#host = this.headers[1]!;
    if (!this.#try()) this.onResponseError(null, new ExchangeError('upstream_unhealthy'));
  }

  #onTotal(): void {
    if (this.#ended || this.#abandoned) return;
    const dialled = this.#controller !== null;
    if (dialled && this.body === null) this.#blamed?.onFailed('upstream_timeout_first_byte');
    this.abandon();
    this.#targets.onFailure('upstream_timeout_total', this.#upstream!.origin, undefined);
    try {
      this.#handler.onFailed('upstream_timeout_total', dialled);
    } catch {
      this.#handler.onBroken();
    }
  }

  /** False: there is no upstream left to try. */
  #try(): boolean {
    const { upstreams, choice, members } = this.#targets;
    const place = choice.choose(this, this.#repeats === null ? null : this.#repeats.tried);
    if (place === -1) return false;
    this.#place = place;
    this.#movesOn = false;
    this.attempts += 1;
    this.connectionAt = 0;
    this.sentAt = 0;
    this.#upstream = upstreams[place]!;
    if (members !== null) {
      this.#member = members[place]!;
      this.#onTrial = this.#member.health?.untried === true && this.mayGoTwice && this.#hasOther(members);
      this.#member.join(this);
    }
    this.#upstream.take(this);
    return true;
  }

  #hasOther(members: readonly UpstreamMember[]): boolean {
    const now = Date.now();
    const tried = this.#repeats?.tried;
    return members.some(
      (other) =>
        other !== this.#member && other.weight > 0 && !tried?.has(other.place) && other.available(now, this),
    );
  }

  #leave(): void {
    const member = this.#member;
    this.#member = null;
    member?.leave(this);
  }

  moveOn(isDead: boolean): void {
    if (this.#ended || this.#abandoned || this.#member === null) return;
    if (this.#connection === null) {
      this.#upstream!.withdraw(this);
      this.#leave();
      if (!this.#try()) this.onResponseError(null, new ExchangeError('upstream_unhealthy'));
    } else if (isDead && !this.#began && this.#repeatable('reset')) {
      if (this.#controller === null) this.#movesOn = true;
      else this.#abort(foundDead());
    }
  }

  /** Nobody waits for the answer any more; nothing is called from here on. */
  abandon(): void {
    this.#abandoned = true;
    if (this.#totalTimer !== null) clearTimeout(this.#totalTimer);
    if (this.#ended) return;
    if (this.#connection === null) this.#upstream?.withdraw(this);
    this.#repeats?.stop();
    this.#dropHeld();
    this.#leave();
    this.#abort(clientGone);
    this.#interim?.stop();
  }

  get paused(): boolean {
    return this.#controller!.paused;
  }

  /** What had been parsed already still comes. */
  pause(): void {
    this.#controller!.pause();
  }

  resume(): void {
    try {
      this.#controller?.resume();
    } catch (unexpected) {
      this.#abort(unexpected as Error);
    }
  }

  onConnection(connection: Connection): void {
    this.#connection = connection;
    this.connectionAt = performance.now();
    const upstream = this.#upstream!;
    const { limits, hosts } = this.#targets;
    const { firstByteMs, idleMs } = limits();
    if (hosts !== null) this.headers[1] = hosts[this.#place] ?? this.#host;
    this.headersTimeout = firstByteMs;
    this.bodyTimeout = idleMs;
    this.servername = upstream.servername;
    connection.client.dispatch(this, this);
  }

  onBusy(error: ExchangeError): void {
    this.onResponseError(null, error);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    this.#reused = this.#connection!.reused;
    this.sentAt = performance.now();
    if (this.#abandoned) controller.abort(clientGone);
    else if (this.#movesOn) controller.abort(foundDead());
  }

  /** It is sent once more at once, or not at all: then to another upstream. */
  onRequestUnsent(): void {
    this.#controller = null;
  }

  /** Called by undici at the first byte of each answer, interim ones included. */
  onResponseStarted(): void {
    this.#began = true;
  }

  onRequestUpgrade(_: Dispatcher.DispatchController, _status: number, head: unknown, socket: Duplex): void {
    const connection = this.#connection!;
    if (this.#abandoned) {
      this.#ended = true;
      socket.destroy();
      connection.discard();
      return;
    }
    const protocol = agreedProtocol(this.upgrade, head as AnswerHead);
    this.#interim?.stop();
    // It is the client's alone from here on, as its own connection is: others need not wait for its end.
    connection.discard();
    (socket as Socket).setTimeout(this.#targets.limits().tunnelIdleMs, () => socket.destroy());
    this.#countTunnel(socket);
    this.#stick(head as AnswerHead);
    this.#handler.onUpgrade(head as AnswerHead, protocol, socket);
    this.#end();
  }

  #countTunnel(socket: Duplex): void {
    const member = this.#member;
    if (member === null) return;
    member.health?.onAnswered(101);
    this.#member = null;
    socket.once('close', () => member.leave(this));
  }

  #stick({ pairs }: AnswerHead): void {
    const cookie = this.#targets.sticky?.setFor(this, this.#place) ?? null;
    if (cookie !== null) pairs.push('Set-Cookie', cookie);
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    statusCode: number,
    head: unknown,
    statusMessage?: string,
  ): void {
    if (this.#abandoned) return;
    if (!(head instanceof AnswerHead)) throw new Error('undici gave a head of another shape');
    if (statusCode < 200) {
      this.#passInterim(statusCode === continueStatus ? 100 : statusCode, head);
      return;
    }
    this.headAt = performance.now();
    this.#interim?.stop();
    if (this.#member !== null) {
      this.#status = statusCode;
      this.#stick(head);
    }
    if (statusCode >= 500 && this.#mayRepeat('5xx')) throw new Declined();
    if ((this.#onTrial || this.#member?.health?.isSuspect() === true) && this.#repeatable('reset')) {
      this.#handler = new HeldAnswer(this.#handler, (fault) => this.#abort(fault));
    }
    this.#handler.onHead(statusCode, head, statusMessage);
    this.#answered = true;
  }

  /** Nobody has seen anything of an answer that is still held. */
  #dropHeld(): void {
    if (!(this.#handler instanceof HeldAnswer)) return;
    this.#handler.drop();
    this.#answered = this.#handler.passedOn;
    this.#handler = this.#handler.behind;
  }

  /** A proxy passes interim answers on (RFC 9110, section 15.2). */
  #passInterim(statusCode: number, head: AnswerHead): void {
    this.#interim ??= new InterimAnswers(() => this.#abort(new ExchangeError('upstream_timeout_first_byte')));
    this.#interim.add(statusCode, this.body, this.sentAt, this.#targets.limits().firstByteMs);
    this.#handler.onInterim(statusCode, head);
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer, release?: Release): void {
    if (!this.#abandoned) this.#handler.onData(chunk, release);
  }

  /** Outside of undici's own callbacks, what it throws would reach nobody. */
  #abort(reason: Error): void {
    try {
      this.#controller?.abort(reason);
    } catch (unexpected) {
      this.onResponseError(null, unexpected);
    }
  }

  #end(): void {
    this.#ended = true;
    if (this.#member !== null) this.#leave();
    if (this.#totalTimer !== null) clearTimeout(this.#totalTimer);
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    const health = this.#member?.health ?? null;
    this.#end();
    health?.onAnswered(this.#status);
    if (!this.#abandoned) {
      const raw = controller.rawTrailers as Buffer[] | string[];
      this.#handler.onEnd(raw.length === 0 ? null : forwardAnswerTrailer(raw));
    }
    this.#connection!.release();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: unknown): void {
    try {
      this.#fail(error);
    } catch (unexpected) {
      this.#end();
      this.#targets.onFailure('edge_failed', this.#upstream?.origin ?? null, unexpected);
      if (!this.#abandoned) this.#handler.onBroken();
    }
  }

  /**
   * Whose health it is that a failure speaks of; null where any client could bring it about. What switches to another protocol goes another way
   * than all else to an upstream of HTTP/2, which need not have it; and one that has heard enough of a body may just end the connection.
   */
  get #blamed(): UpstreamMember['health'] {
    if (this.upgrade !== null && this.#upstream!.switchesApart) return null;
    const sending = this.#controller !== null && this.body !== null && !this.body.isTaken;
    if (sending && !this.#answered) return null;
    return this.#member?.health ?? null;
  }

  #fail(error: unknown): void {
    const cause = failureCauseOf(error, this.#answered);
    this.#dropHeld();
    const connection = this.#connection;
    this.#connection = null;
    this.#interim?.stop();
    if (this.#abandoned) {
      this.#end();
      connection?.discard();
      return;
    }
    // The upstream had closed a connection that it had kept until then, and did nothing: a request that may be repeated goes out
    // once more, on a new one (RFC 9112, section 9.3.1).
    if (
      this.#reused &&
      !this.#began &&
      !this.#repeated &&
      (cause === 'upstream_closed' || cause === 'upstream_reset') &&
      this.mayGoTwice &&
      this.#member?.health?.available !== false
    ) {
      this.#repeated = true;
      this.#controller = null;
      this.onConnection(connection!.replace());
      return;
    }
    const dialled = this.#controller !== null;
    // Whatever comes of it comes when it has left: a verdict, its own or that of one that gets its place, sends away all that are there.
    const health = this.#blamed;
    if (this.#member !== null) this.#leave();
    connection?.discard();
    if (error instanceof Declined) {
      health?.onAnswered(this.#status);
      this.#sendAgain('5xx', cause);
      return;
    }
    this.#targets.onFailure(cause, this.#upstream?.origin ?? null, error);
    health?.onFailed(cause);
    if (this.#handler.isOpen && this.#again(cause, dialled)) return;
    this.#end();
    this.#handler.onFailed(cause, dialled);
  }

  /** Of what could not be sent, nothing has left the edge: it goes to each other upstream. Of anything else the route has to say so. */
  #again(cause: FailureCause, dialled: boolean): boolean {
    if (!dialled && cause !== 'request_not_forwardable' && this.#elsewhere()) return true;
    const reason = retryReasonOf(cause, dialled);
    if (reason === null || !this.#mayRepeat(reason)) return false;
    this.#sendAgain(reason, cause);
    return true;
  }

  /** Whether it is repeated, by the route's will or because it was on trial: once a connection carried any of it the upstream may have acted on it. */
  #repeatable(reason: RetryReason): boolean {
    if (this.#targets.retries === null && !this.#onTrial) return false;
    if (this.#answered || !this.#handler.isOpen || (reason !== 'connect' && !this.mayGoTwice)) return false;
    this.#repeats ??= new Repeats(this.#targets);
    // What the edge finds out by it is not at the client's cost.
    return this.#onTrial || this.#repeats.allows(reason);
  }

  /** The same, and there is a budget for it, of which it takes. */
  #mayRepeat(reason: RetryReason): boolean {
    return this.#repeatable(reason) && (this.#onTrial || this.#repeats!.spend());
  }

  /** At an upstream that was not tried yet. */
  #elsewhere(): boolean {
    if (this.#member !== null) this.#leave();
    this.#repeats ??= new Repeats(this.#targets);
    this.#repeats.triedAt(this.#place);
    this.#controller = null;
    this.#began = false;
    this.#repeated = false;
    this.#interim = null;
    return this.#try();
  }

  #sendAgain(reason: RetryReason, cause: FailureCause): void {
    this.#repeats!.note(reason, !this.#onTrial);
    if (!this.#elsewhere()) this.#repeats!.pause(() => this.#onPauseOver(cause));
  }

  #onPauseOver(cause: FailureCause): void {
    try {
      if (this.#try()) return;
      this.#end();
      this.#handler.onFailed(cause, false);
    } catch (unexpected) {
      this.onResponseError(null, unexpected);
    }
  }
}

function foundDead(): ExchangeError {
  return new ExchangeError('upstream_reset', 'it was found unhealthy meanwhile');
}
