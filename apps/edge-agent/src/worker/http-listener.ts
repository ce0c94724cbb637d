import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { requestIdOf } from '../proxy/forward-headers.ts';
import { hostOf } from '../proxy/host-of.ts';
import { sendProblem } from '../proxy/send-problem.ts';
import type { ChallengeTable } from './challenge-table.ts';
import type { RouteTable } from './route-table.ts';

const challengePrefix = '/.well-known/acme-challenge/';

export interface HttpListenerOptions {
  challenges: ChallengeTable;
  routes: RouteTable;
  /** Where redirects point. */
  httpsPort: number;
  onAnswer(statusCode: number): void;
}

/** Port 80: answers challenges of any order, sends the rest to https. */
export function createHttpListener({ challenges, routes, httpsPort, onAnswer }: HttpListenerOptions): Server {
  const portSuffix = httpsPort === 443 ? '' : `:${httpsPort}`;

  function answer(request: IncomingMessage, response: ServerResponse): void {
    response.on('close', () => onAnswer(response.statusCode));
    const path = request.url!;
    const id = requestIdOf(request.headers['x-request-id']);
    if (path.startsWith(challengePrefix)) {
      const keyAuthorization = challenges.keyAuthorization(path.slice(challengePrefix.length));
      if (keyAuthorization !== null) {
        response.writeHead(200, {
          'content-type': 'application/octet-stream', // RFC 8555, section 8.3
          'content-length': Buffer.byteLength(keyAuthorization),
        });
        response.end(keyAuthorization);
        return;
      }
    }
    const host = hostOf(request.headers.host ?? '');
    if (!path.startsWith('/') || !routes.servesHost(host)) {
      sendProblem(response, 404, 'no_route', 'No route matches this host.', id);
      return;
    }
    response.writeHead(308, { location: `https://${host}${portSuffix}${path}`, 'content-length': 0 });
    response.end();
  }

  return createServer(
    { keepAliveTimeout: 15_000, headersTimeout: 15_000, requestTimeout: 30_000 },
    (request, response) => {
      answer(request, response);
      request.resume();
    },
  );
}
