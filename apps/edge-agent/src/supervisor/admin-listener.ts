import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import {
  type Address,
  type AppError,
  type Boundary,
  type ErrorCode,
  errorCodes,
  isAdminHost,
  isAppError,
  type Readiness,
  readAuthority,
  readRequestTarget,
} from '@lockstep/contract';
import { serveHttp1 } from '../server/http1-connections.ts';
import { listenError } from '../server/listen-error.ts';
import { requestIdOf } from '../server/request-id.ts';
import { sendProblem } from '../server/send-problem.ts';

const { createServer } = process.getBuiltinModule('node:http');

/** Far more than probes and scrapers need, and far from all the descriptors of the process. */
const mostConnections = 256;
const headMs = 10_000;

export interface AdminListenerOptions {
  address: Address;
  /** Names that it may be called by, besides addresses, `localhost` and this machine's name. */
  hosts: readonly string[];
  boundary: Boundary;
  readiness(): Promise<Readiness>;
  metrics(): Promise<{ contentType: string; text: string }>;
  /** Throws an `AppError` where it cannot. */
  reload(): Promise<void>;
}

export interface AdminListener {
  readonly address: Address;
  close(): Promise<void>;
}

/** `/healthz`, `/readyz`, `/metrics` and `/reload` of one edge. Throws `bad_configuration` when the address cannot be bound. */
export async function createAdminListener(options: AdminListenerOptions): Promise<AdminListener> {
  const { boundary } = options;
  const names = [...options.hosts, options.address.host, hostname()];

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const asked = pathOf(request, names);
    if (typeof asked !== 'string') refuse(request, response, asked);
    else if (asked === '/healthz') send(response, 200, 'application/json', '{"status":"ok"}');
    else if (asked === '/readyz') {
      const readiness = await options.readiness();
      const status = readiness.status === 'not_ready' ? 503 : 200;
      send(response, status, 'application/json', JSON.stringify(readiness));
    } else if (asked === '/metrics') {
      const { contentType, text } = await options.metrics();
      send(response, 200, contentType, text);
    } else if (asked === '/reload') {
      await options.reload();
      send(response, 200, 'application/json', '{"status":"reloaded"}');
    } else refuse(request, response, refusal(404, 'not_found', 'Nothing has this address.'));
  }

  const server = createServer();
  server.maxConnections = mostConnections;
  Object.assign(server, { headersTimeout: headMs, requestTimeout: headMs });
  serveHttp1(server, {
    handle(request, response) {
      request.resume();
      response.on('error', () => {});
      answer(request, response).catch((error) => {
        if (!isAppError(error)) boundary.note('admin', error);
        if (response.headersSent) response.destroy();
        else if (isAppError(error)) refuse(request, response, refusalOf(error));
        else refuse(request, response, refusal(500, 'internal', 'Something unexpected failed.'));
      });
    },
    upgrade: null,
    onRefused: () => {},
    onCut: () => {},
    onException: (_place, error) => boundary.note('admin', error),
  });
  await listen(server, options.address);
  server.on('error', (error) => boundary.note('admin', error));
  return {
    address: { host: options.address.host, port: (server.address() as AddressInfo).port },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Of an address that is none of these: only reads. */
const reads = 'GET, HEAD';
const methodsOf: ReadonlyMap<string, string> = new Map([['/reload', 'POST']]);

interface Refusal {
  status: number;
  code: ErrorCode;
  detail: string;
  allow?: string;
}

function refusalOf({ code, message }: AppError): Refusal {
  return refusal(errorCodes[code].status, code, `${message}.`);
}

function refusal(status: number, code: ErrorCode, detail: string): Refusal {
  return { status, code, detail: `${detail[0]!.toUpperCase()}${detail.slice(1)}` };
}

function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  { status, code, detail, allow }: Refusal,
): void {
  if (allow !== undefined) response.setHeader('allow', allow);
  sendProblem(response, status, code, detail, requestIdOf(request.headers['x-request-id']));
}

/** What is asked for, without the query; or why it is not answered. */
function pathOf(
  { url, method, rawHeaders, headers, httpVersion }: IncomingMessage,
  names: readonly string[],
): string | Refusal {
  const target = readRequestTarget(url!, method!);
  if ('fault' in target) return refusal(400, 'invalid_request', `${target.fault}.`);
  const hosts = rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'host').length;
  if (hosts > 1) return refusal(400, 'invalid_request', 'The request names more than one host.');
  // RFC 9112, section 3.2. HTTP/1.0 did without, and load balancers' health checks still do.
  if (hosts > 0 || httpVersion !== '1.0') {
    const named = readAuthority(headers.host ?? '');
    if ('fault' in named) return refusal(400, 'invalid_request', `${named.fault}.`);
    const { host } = target.authority ?? named;
    if (!isAdminHost(host, names)) return refusal(421, 'misdirected', 'This host is not served here.');
  }
  if (headers.expect !== undefined && httpVersion !== '1.0' && !/^100-continue$/i.test(headers.expect))
    return refusal(417, 'expectation_failed', 'Only 100-continue can be expected.');
  const path = target.path.split('?', 1)[0]!;
  const allow = methodsOf.get(path) ?? reads;
  if (!allow.split(', ').includes(method!)) {
    return { ...refusal(405, 'method_not_allowed', `The methods here are ${allow}.`), allow };
  }
  // A browser says so of what a page sends to another site: none may have an operator's edge do something.
  if (method === 'POST' && headers.origin !== undefined)
    return refusal(400, 'invalid_request', 'No page of the web may ask for this.');
  return path;
}

function send(response: ServerResponse, status: number, contentType: string, text: string): void {
  const body = Buffer.from(text);
  response.writeHead(status, { 'content-type': contentType, 'content-length': body.length }).end(body);
}

function listen(server: Server, address: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (cause: NodeJS.ErrnoException) => reject(listenError(address, cause));
    server.once('error', onError);
    server.listen(address.port, address.host, () => {
      server.off('error', onError);
      resolve();
    });
  });
}
