import type { RequestListener } from 'node:http';
import { CaddyFault } from '@lockstep/caddy';
import { AppError, errorCodes, isAppError, maxBodyBytes } from '@lockstep/contract';
import {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  fastify,
  LogController,
} from 'fastify';
import type { Logger } from 'pino';
import { parseJson } from '../api/json-body.ts';
import { checkHead, parsedHeadBytes } from '../api/read-head.ts';
import { requestIdOf } from '../api/request-origin.ts';
import { createTlsServer } from '../api/tls-server.ts';
import { requireScope } from '../auth/access.ts';
import { boundsOf } from '../auth/bounds.ts';
import { type Identify, refuseExceeding } from '../auth/identify.ts';
import type { WriteOrigin } from '../changes/writes.ts';
import type { TlsSource } from '../startup/tls-files.ts';
import { type CaddyCalls, segmentsOf } from './caddy-calls.ts';
import { Outdated } from './caddy-routes.ts';

const requestTimeoutMs = 30_000;
/** A subroute in a subroute is four levels: some twenty of them. */
const deepest = 100;

export interface CaddyServerOptions {
  calls: CaddyCalls;
  identify: Identify;
  /** Who sends no token is let in, as at a Caddy: it listens on loopback alone. */
  open: boolean;
  adminHosts: readonly string[];
  /** Left out: plain HTTP. */
  tls: TlsSource | undefined;
  stopping: AbortSignal;
  log: Logger | null;
}

/** Caddy's admin API over HTTP, as far as it is carried; not listening yet. */
export function createCaddyServer({
  calls,
  identify,
  open,
  adminHosts,
  tls,
  stopping,
  log,
}: CaddyServerOptions): FastifyInstance {
  const app = fastify({
    ...(log === null ? { logger: false as const } : { loggerInstance: log as FastifyBaseLogger }),
    bodyLimit: maxBodyBytes,
    logController: new LogController({ disableRequestLogging: true }),
    routerOptions: { maxParamLength: parsedHeadBytes },
    http: { maxHeaderSize: parsedHeadBytes },
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    genReqId: requestIdOf,
    requestIdHeader: false,
    requestTimeout: requestTimeoutMs,
    ...(tls !== undefined && {
      serverFactory: (listener: RequestListener) =>
        createTlsServer(
          tls,
          { maxHeaderSize: parsedHeadBytes, requestTimeoutMs, keepAliveTimeoutMs: 72_000 },
          listener,
        ),
    }),
    frameworkErrors: answerFault,
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    '*',
    { parseAs: 'buffer' },
    async (_request: FastifyRequest, body: Buffer) => body,
  );
  app.addHook('onRequest', async (request) => {
    if (stopping.aborted) throw new AppError('shutting_down', 'the control plane stops');
    checkHead(request, adminHosts);
    checkOrigin(request);
  });
  app.setErrorHandler(answerFault);
  const handler = async (request: FastifyRequest, reply: FastifyReply) => {
    const segments = segmentsOf(new URL(request.raw.url ?? '/', 'http://caddy').pathname);
    const origin = await originOf(request, segments);
    const { 'if-match': ifMatch } = request.headers;
    const { value, etag } = await calls({
      method: request.method,
      segments,
      // Whatever else is asked for is refused whatever its body is.
      body: ['config', 'id'].includes(segments[0] ?? '') ? bodyOf(request) : undefined,
      ifMatch,
      origin,
    });
    if (etag !== undefined) reply.header('etag', etag);
    if (value === undefined) return reply.code(200).send();
    return reply.type('application/json').send(`${JSON.stringify(value)}\n`);
  };
  app.all('*', handler);
  app.setNotFoundHandler(handler);

  async function originOf(request: FastifyRequest, segments: string[]): Promise<WriteOrigin> {
    const { authorization } = request.headers;
    if (open && authorization === undefined) return { by: { kind: 'caddy-api' }, requestId: request.id };
    const { access, calls: counted } = await identify(request.ip, authorization);
    refuseExceeding(access, counted);
    const reads = request.method === 'GET' || request.method === 'HEAD';
    const certificates = segments.slice(0, 3).join('/') === 'config/apps/tls';
    requireScope(
      access,
      certificates && !reads ? 'certificates:write' : reads ? 'routes:read' : 'routes:write',
    );
    return { by: access.principal, requestId: request.id, bounds: boundsOf(access) };
  }

  return app as unknown as FastifyInstance;
}

/** A page in a browser on this machine reaches loopback as well, and says where it is from. */
function checkOrigin({ headers }: FastifyRequest): void {
  const { origin, host } = headers;
  if (origin === undefined) return;
  if (URL.canParse(origin) && new URL(origin).host === host) return;
  throw new CaddyFault(403, `client is not allowed to access from origin '${origin}'`);
}

function bodyOf({ body, headers, method }: FastifyRequest): unknown {
  if (method === 'DELETE' || !Buffer.isBuffer(body) || body.length === 0) return undefined;
  const type = (headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase();
  if (type !== '' && type !== 'application/json')
    throw new CaddyFault(400, `unacceptable content-type: ${type}; 'application/json' required`);
  try {
    return parseJson(body.toString('utf8'), deepest);
  } catch (error) {
    throw new CaddyFault(400, `decoding request body: ${(error as Error).message}`);
  }
}

/** `{"error": "…"}`, as Caddy says it. */
function answerFault(error: Error, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const [status, message] = told(error, request);
  if (status === 401) reply.header('www-authenticate', 'Bearer realm="lockstep"');
  if (status === 503) reply.header('retry-after', '1');
  return reply
    .code(status)
    .type('application/json')
    .serializer(String)
    .send(`${JSON.stringify({ error: message })}\n`);
}

function told(error: Error, request: FastifyRequest): [number, string] {
  if (error instanceof CaddyFault) return [error.status, error.message];
  if (error instanceof Outdated) return [409, 'others change the route at the same time; try again'];
  if (isAppError(error)) {
    const fields = error.errors.map(({ pointer, detail }) => `${pointer} ${detail}`).join('; ');
    return [errorCodes[error.code].status, fields || error.message];
  }
  const { statusCode } = error as { statusCode?: number };
  if (statusCode !== undefined && statusCode < 500) return [statusCode, error.message];
  request.log.error({ err: error }, 'a request failed unexpectedly');
  return [500, 'something unexpected failed; the log has it'];
}
