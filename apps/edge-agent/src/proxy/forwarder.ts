import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ErrorCode } from '@lockstep/contract';
import type { RouteTable } from '../worker/route-table.ts';
import { type ClientRequest, type ClientResponse, Exchange } from './exchange.ts';
import type { FailureLog } from './failure-log.ts';
import { forwardRequestHeaders, requestIdOf } from './forward-headers.ts';
import { hostOf } from './host-of.ts';
import { sendProblem } from './send-problem.ts';
import { tunnel } from './tunnel.ts';

export interface ForwarderOptions {
  routes: RouteTable;
  /** Called for each answer; 499 stands for a client that did not wait for it. */
  onAnswer(statusCode: number): void;
  failures: FailureLog;
}

/** Forwards requests to the upstreams of the route they match. */
export interface Forwarder {
  handle(request: ClientRequest, response: ClientResponse): void;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Requests without a complete answer; open tunnels are not among them. */
  readonly inFlight: number;
  readonly tunnels: number;
  /** Breaks off what is still open: tunnels. */
  closeTunnels(): void;
}

export function createForwarder({ routes, onAnswer, failures }: ForwarderOptions): Forwarder {
  const tunnels = new Set<Duplex>();
  let inFlight = 0;

  function onDone(statusCode: number): void {
    inFlight -= 1;
    onAnswer(statusCode);
  }

  function forward(
    request: ClientRequest,
    response: ClientResponse,
    onUpgrade?: (fields: string[], upstream: Duplex) => void,
  ): void {
    const target = targetOf(request);
    if (target === null) {
      refuse(request, response, 400, 'invalid_request', 'The request names no host and path.');
      return;
    }
    const { authority, path } = target;
    const route = routes.find(hostOf(authority), path);
    if (route === null) {
      refuse(request, response, 404, 'no_route', 'No route matches this host and path.');
      return;
    }
    const forwarded = forwardRequestHeaders(
      request.rawHeaders,
      authority,
      request.headers.connection,
      (request.socket.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/, ''),
    );
    if (forwarded === null) {
      refuse(request, response, 400, 'invalid_request', 'The request names more than one host.');
      return;
    }
    // HTTP/2 needs no header to announce a body (RFC 9113, section 8.1).
    if ('stream' in request) forwarded.hasBody = !request.stream.endAfterHeaders;
    inFlight += 1;
    const common = { request, response, route, path, forwarded, onDone, onFailure: failures.note };
    new Exchange(onUpgrade === undefined ? common : { ...common, onUpgrade }).start();
  }

  function refuse(
    request: ClientRequest,
    response: ClientResponse,
    status: number,
    code: ErrorCode,
    detail: string,
  ): void {
    inFlight += 1;
    response.on('close', () => onDone(status));
    sendProblem(response, status, code, detail, requestIdOf(request.headers['x-request-id']));
  }

  return {
    handle(request, response) {
      forward(request, response);
    },
    upgrade(request, socket, head) {
      socket.on('error', () => socket.destroy());
      if (head.length > 0) socket.unshift(head);
      // Stands in until the upstream has agreed: whatever else it says is an ordinary answer.
      const response = new ServerResponse(request);
      response.shouldKeepAlive = false;
      response.assignSocket(socket as Socket);
      response.on('finish', () => socket.end());
      forward(request, response, (fields, upstream) => {
        response.detachSocket(socket as Socket);
        inFlight -= 1;
        onAnswer(101);
        tunnels.add(socket);
        let text = 'HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n';
        for (let i = 0; i < fields.length; i += 2) text += `${fields[i]}: ${fields[i + 1]}\r\n`;
        socket.write(`${text}\r\n`, 'latin1');
        tunnel(socket, upstream, () => tunnels.delete(socket));
      });
    },
    get inFlight() {
      return inFlight;
    },
    get tunnels() {
      return tunnels.size;
    },
    closeTunnels() {
      for (const socket of tunnels) socket.destroy();
    },
  };
}

/** What a request is for; null when it does not say. */
function targetOf(request: ClientRequest): { authority: string; path: string } | null {
  const path = request.url!;
  if (path.charCodeAt(0) === 0x2f) {
    const named = 'authority' in request ? request.authority || request.headers.host : request.headers.host;
    return named === undefined || named === '' ? null : { authority: named, path };
  }
  // A target in absolute form goes before the Host field (RFC 9112, section 3.2.2).
  const absolute = /^https?:\/\/([^/?#@]+)(\/[^#]*|\?[^#]*)?$/i.exec(path);
  if (absolute === null) return null;
  const rest = absolute[2] ?? '/';
  return { authority: absolute[1]!, path: rest.startsWith('/') ? rest : `/${rest}` };
}
