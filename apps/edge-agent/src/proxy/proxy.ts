import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import type { RouteTable } from '../worker/route-table.ts';
import { type ClientRequest, type ClientResponse, Exchange } from './exchange.ts';
import { forwardRequestHeaders, forwardResponseHeaders, requestIdOf } from './forward-headers.ts';
import { hostOf } from './host-of.ts';
import { sendProblem } from './send-problem.ts';
import { tunnel } from './tunnel.ts';

export interface ProxyOptions {
  routes: RouteTable;
  /** Called for each answer; 499 stands for a client that did not wait for it. */
  onAnswer(statusCode: number): void;
}

/** Forwards requests to the upstreams of the route they match. */
export interface Proxy {
  handle(request: ClientRequest, response: ClientResponse): void;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Requests without a complete answer; open tunnels are not among them. */
  readonly inFlight: number;
  /** Breaks off what is still open: tunnels. */
  closeTunnels(): void;
}

export function createProxy({ routes, onAnswer }: ProxyOptions): Proxy {
  const tunnels = new Set<Duplex>();
  let inFlight = 0;

  function onDone(statusCode: number): void {
    inFlight -= 1;
    onAnswer(statusCode);
  }

  function forward(
    request: ClientRequest,
    response: ClientResponse,
    onUpgrade?: (statusCode: number, headers: Record<string, string | string[] | undefined>, upstream: Duplex) => void,
  ): void {
    let path = request.url!;
    let authority = 'authority' in request ? request.authority || request.headers.host : request.headers.host;
    if (path.charCodeAt(0) !== 0x2f) {
      const absolute = /^https?:\/\/([^/?#@]+)(\/[^#]*|\?[^#]*)?$/i.exec(path); // RFC 9112, section 3.2.2
      if (absolute === null) return refuse(request, response, 400, 'The request target is not a path.');
      authority = absolute[1];
      path = absolute[2] ?? '/';
      if (path[0] === '?') path = `/${path}`;
    }
    if (authority === undefined) return refuse(request, response, 400, 'The request names no host.');
    const route = routes.find(hostOf(authority), path);
    if (route === null) {
      const id = requestIdOf(request.headers['x-request-id']);
      onFinish(response);
      sendProblem(response, 404, 'no_route', 'No route matches this host and path.', id);
      return;
    }
    const forwarded = forwardRequestHeaders(
      request.rawHeaders,
      authority,
      request.headers.connection,
      request.socket.remoteAddress ?? '',
    );
    if (forwarded === null) return refuse(request, response, 400, 'The request names more than one host.');
    inFlight += 1;
    const common = { request, response, route, path, forwarded, onDone };
    new Exchange(onUpgrade === undefined ? common : { ...common, onUpgrade }).start();
  }

  function onFinish(response: ClientResponse): void {
    inFlight += 1;
    response.on('close', () => onDone(response.statusCode));
  }

  function refuse(request: ClientRequest, response: ClientResponse, status: number, detail: string): void {
    onFinish(response);
    sendProblem(response, status, 'invalid_request', detail, requestIdOf(request.headers['x-request-id']));
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
      forward(request, response, (statusCode, headers, upstream) => {
        response.detachSocket(socket as Socket);
        inFlight -= 1;
        onAnswer(statusCode);
        tunnels.add(socket);
        const lines = forwardResponseHeaders(headers);
        let text = `HTTP/1.1 ${statusCode} Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n`;
        for (let i = 0; i < lines.length; i += 2) text += `${lines[i]}: ${lines[i + 1]}\r\n`;
        socket.write(`${text}\r\n`, 'latin1');
        tunnel(socket, upstream, () => tunnels.delete(socket));
      });
    },
    get inFlight() {
      return inFlight;
    },
    closeTunnels() {
      for (const socket of tunnels) socket.destroy();
    },
  };
}
