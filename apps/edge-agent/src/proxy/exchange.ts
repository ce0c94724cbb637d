import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { Dispatcher } from 'undici';
import type { ServedRoute } from '../worker/route-table.ts';
import { type ForwardedRequest, forwardResponseHeaders } from './forward-headers.ts';
import { RequestBody } from './request-body.ts';
import { sendProblem } from './send-problem.ts';

export type ClientRequest = IncomingMessage | Http2ServerRequest;
export type ClientResponse = ServerResponse | Http2ServerResponse;

type Headers = Record<string, string | string[] | undefined>;

export interface ExchangeOptions {
  request: ClientRequest;
  response: ClientResponse;
  route: ServedRoute;
  path: string;
  forwarded: ForwardedRequest;
  /** Called once, when the client has its answer or is gone. */
  onDone(statusCode: number): void;
  /** For an upgrade: takes both ends when the upstream agrees. */
  onUpgrade?(statusCode: number, headers: Headers, upstream: Duplex): void;
}

const clientGone = new Error('the client went away');

/** One request and its response, from the client's stream to an upstream and back. */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly #options: ExchangeOptions;
  readonly #body: RequestBody | null;
  #controller: Dispatcher.DispatchController | null = null;
  #attempt = 0;
  #first = 0;
  #ended = false;
  #gone = false;
  #upgraded = false;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.#body = options.forwarded.hasBody ? new RequestBody(options.request) : null;
  }

  start(): void {
    const { route, response } = this.#options;
    this.#first = route.turn;
    route.turn = (route.turn + 1) % route.upstreams.length;
    response.on('close', this.#onClientClose);
    this.#dispatch();
  }

  #dispatch(): void {
    const { request, route, path, forwarded, onUpgrade } = this.#options;
    const upstream = route.upstreams[(this.#first + this.#attempt) % route.upstreams.length]!;
    this.#attempt += 1;
    upstream.pool().dispatch(
      {
        path,
        method: request.method as Dispatcher.HttpMethod,
        headers: forwarded.headers,
        body: this.#body,
        upgrade: onUpgrade === undefined ? null : 'websocket',
        // Without this, undici would take the client's Host for the name in the upstream's certificate, and connect anew whenever it
        // differs from the last request's.
        servername: upstream.servername,
      } as Dispatcher.DispatchOptions,
      this,
    );
  }

  #onClientClose = (): void => {
    const { response, onDone } = this.#options;
    this.#gone = true;
    if (!this.#ended) {
      this.#controller?.abort(clientGone);
      this.#body?.destroy();
    }
    if (!this.#upgraded) onDone(response.headersSent ? response.statusCode : 499);
  };

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#gone) controller.abort(clientGone);
  }

  onRequestUpgrade(
    _controller: Dispatcher.DispatchController,
    statusCode: number,
    headers: Headers,
    socket: Duplex,
  ): void {
    this.#ended = true;
    if (this.#gone) {
      socket.destroy();
      return;
    }
    this.#upgraded = true;
    this.#options.onUpgrade!(statusCode, headers, socket);
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    statusCode: number,
    headers: Headers,
    statusMessage?: string,
  ): void {
    if (statusCode < 200 || this.#gone) return; // interim responses are not forwarded (RFC 9110, section 15.2 allows it)
    const { response } = this.#options;
    const forwarded = forwardResponseHeaders(headers);
    if ('stream' in response) {
      for (let i = 0; i < forwarded.length; i += 2) appendOnce(response, forwarded[i]!, forwarded[i + 1]!);
      response.writeHead(statusCode);
    } else {
      (response as ServerResponse).writeHead(statusCode, statusMessage ?? '', forwarded);
      // The head goes out at once: an event stream may send nothing for a while.
      if (headers['content-length'] === undefined) (response as ServerResponse).flushHeaders();
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#gone) return;
    const response = this.#options.response as ServerResponse;
    // Pausing is a request: what had been parsed already still comes.
    if (response.write(chunk) || controller.paused) return;
    controller.pause();
    response.once('drain', () => controller.resume());
  }

  onResponseEnd(): void {
    this.#ended = true;
    if (!this.#gone) this.#options.response.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error & { code?: string }): void {
    if (this.#gone) return;
    const { response, route, forwarded } = this.#options;
    if (response.headersSent) {
      this.#ended = true;
      breakOff(response);
      return;
    }
    const refused = error.code === 'UND_ERR_INVALID_ARG' || error.code === 'UND_ERR_NOT_SUPPORTED';
    // Only a failed dial is tried again elsewhere: nothing of this request has left the edge. Once a connection carried any of
    // it the upstream may have acted on it, and repeating it could place an order twice (RFC 9110, section 9.2.2).
    if (this.#controller === null && !refused && this.#attempt < route.upstreams.length) {
      this.#dispatch();
      return;
    }
    this.#ended = true;
    const id = forwarded.requestId;
    if (refused) sendProblem(response, 400, 'invalid_request', 'The request cannot be forwarded.', id);
    else if (error.code === 'UND_ERR_HEADERS_TIMEOUT' || error.code === 'UND_ERR_CONNECT_TIMEOUT') {
      sendProblem(response, 504, 'upstream_timeout', 'The upstream did not answer in time.', id);
    } else {
      const what = this.#controller === null ? 'cannot be reached' : 'broke off before it answered';
      sendProblem(response, 502, 'upstream_unreachable', `The upstream ${what}.`, id);
    }
    this.#body?.destroy();
  }
}

/** Ends a response so that the client sees it is incomplete: never as a regular end. */
function breakOff(response: ClientResponse): void {
  if ('stream' in response)
    response.stream.close(0x2); // INTERNAL_ERROR (RFC 9113, section 7)
  else (response as ServerResponse).destroy();
}

// Over HTTP/2 Node throws for a second value of these; over HTTP/1.1 it passes both on.
const singleValued = new Set(
  'access-control-allow-credentials access-control-max-age age content-encoding content-language content-length content-location content-md5 content-range content-type date dnt etag expires last-modified location retry-after tk x-content-type-options'.split(
    ' ',
  ),
);

function appendOnce(response: Http2ServerResponse, name: string, value: string): void {
  const key = name.toLowerCase();
  if (key === 'http2-settings' || (singleValued.has(key) && response.hasHeader(key))) return;
  response.appendHeader(name, value);
}
