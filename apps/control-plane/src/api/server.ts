import type { RequestListener } from 'node:http';
import { AppError, errorCodes, maxBodyBytes } from '@lockstep/contract';
import {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyRequest,
  fastify,
  LogController,
} from 'fastify';
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Logger } from 'pino';
import type { IdempotencyKeys } from '../idempotency/idempotency-keys.ts';
import type { TlsSource } from '../startup/tls-files.ts';
import type { LoopShare } from '../time/loop-share.ts';
import { invalidRequest } from '../validation/invalid-field.ts';
import { answerUnknown } from './allowed-methods.ts';
import { createUnreadable } from './answer-unreadable.ts';
import type { ApiInstance } from './api-instance.ts';
import { type AuditApiOptions, auditApi } from './audit.ts';
import { boundBodies, longestStreamMs } from './bound-bodies.ts';
import { type CertificatesApiOptions, certificatesApi } from './certificates.ts';
import { answerConditions } from './conditions.ts';
import { type EventsApiOptions, eventsApi } from './events.ts';
import { takeIdempotencyKeys } from './idempotent.ts';
import { type IssuersApiOptions, issuersApi } from './issuers.ts';
import { readJsonBody } from './json-body.ts';
import { type KeysApiOptions, keysApi } from './keys.ts';
import { createLoadBound, type LoadBoundOptions } from './load-bound.ts';
import { type NodesApiOptions, nodesApi } from './nodes.ts';
import { answerWithProblem, unknownParameters } from './problem-answers.ts';
import { checkHead, parsedHeadBytes } from './read-head.ts';
import { requestIdOf } from './request-origin.ts';
import { toOriginForm } from './request-target.ts';
import { type AccessOptions, requireAccess } from './require-access.ts';
import { type RoutesApiOptions, routesApi } from './routes.ts';
import { type SettingsApiOptions, settingsApi } from './settings.ts';
import { type AuthorityApiOptions, authorityApi, type SystemApiOptions, systemApi } from './system.ts';
import { boundTenants } from './tenant-bounds.ts';
import { createTlsServer } from './tls-server.ts';
import { type TokensApiOptions, tokensApi } from './tokens.ts';
import { type WebhooksApiOptions, webhooksApi } from './webhooks.ts';

/** Of the parser, which knows no addresses: see `boundBodies`. */
const requestTimeoutMs = longestStreamMs;

export interface ServerOptions {
  /** Whose each request below /v1 is, and what it may do. */
  access: AccessOptions;
  /** Left out: plain HTTP. */
  tls?: TlsSource | undefined;
  /** The names of this server, besides addresses and localhost: a request to any other is refused. */
  adminHosts: readonly string[];
  system: SystemApiOptions;
  /** What each resource below /v1 needs. */
  resources: {
    routes: Omit<RoutesApiOptions, 'load' | 'share' | 'stopping'>;
    certificates: CertificatesApiOptions;
    issuers: IssuersApiOptions;
    settings: SettingsApiOptions;
    nodes: NodesApiOptions;
    keys: KeysApiOptions;
    tokens: TokensApiOptions;
    audit: AuditApiOptions;
    authority: AuthorityApiOptions;
    webhooks: WebhooksApiOptions;
    events: Omit<EventsApiOptions, 'authenticate' | 'stopping'>;
  };
  idempotency: IdempotencyKeys;
  /** Where writes wait for their turn of the event loop. */
  share: LoopShare;
  load?: LoadBoundOptions;
  stopping: AbortSignal;
  log: Logger | null;
}

/** The admin API over HTTP, not listening yet. `watch` sees each route as it is added. */
export async function createServer(
  options: ServerOptions,
  watch?: (app: ApiInstance) => PromiseLike<unknown>,
): Promise<ApiInstance> {
  const { log, resources, stopping } = options;
  const { metrics } = options.system;
  const load = createLoadBound({ share: options.share, ...options.load });
  const unreadable = createUnreadable((error, requestId) => {
    const status = errorCodes[error.code].status;
    metrics.observeRequest('none', 'none', status, 0);
    log?.debug({ reqId: requestId, status, code: error.code, reason: error.message }, 'could not be read');
  });
  const app = fastify({
    ...(log === null ? { logger: false as const } : { loggerInstance: log as FastifyBaseLogger }),
    bodyLimit: maxBodyBytes,
    logController: new LogController({ disableRequestLogging: true }),
    routerOptions: { maxParamLength: parsedHeadBytes }, // how long an id may be is its schema's to say
    http: { maxHeaderSize: parsedHeadBytes, requireHostHeader: false },
    forceCloseConnections: 'idle',
    return503OnClosing: false, // the first hook says it in a problem document
    genReqId: requestIdOf,
    requestIdHeader: false,
    requestTimeout: requestTimeoutMs, // to receive a request; an answer may take as long as its caller prefers to wait
    ...(options.tls !== undefined && { serverFactory: overTls(options.tls) }),
    rewriteUrl: toOriginForm,
    frameworkErrors: answerWithProblem,
    clientErrorHandler: unreadable.answer,
    // Here, and not set afterwards: fastify would have loaded Ajv and fast-json-stringify by then, whose types these have to wear.
    schemaController: {
      compilersFactory: {
        buildValidator: () => validatorCompiler as never,
        buildSerializer: () => serializerCompiler as never,
      },
    },
  }).withTypeProvider<ZodTypeProvider>();
  unreadable.attach(app.server);
  app.server.maxHeadersCount = 0; // beyond 2,000, Node would drop fields without a word
  app.server.on('checkExpectation', (request, response) => app.routing(request, response));

  boundBodies(app as unknown as FastifyInstance);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, async (request: FastifyRequest, body: Buffer) =>
    readJsonBody(request, body),
  );
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
    if (stopping.aborted) throw new AppError('shutting_down', 'the control plane stops');
    checkHead(request, options.adminHosts);
    // A type of nothing says nothing, and many clients send one with every request.
    const { 'content-length': length, 'transfer-encoding': coding } = request.headers;
    if (coding === undefined && (length === undefined || length === '0'))
      delete request.headers['content-type'];
  });
  answerUnknown(app as unknown as FastifyInstance);
  // Whoever was answered last would else keep the connection, and with it the process, until one of both gives it up.
  app.addHook('onSend', async (_request, reply) => {
    if (stopping.aborted) reply.header('connection', 'close');
  });
  app.addHook('onResponse', async (request, reply) => {
    metrics.observeRequest(
      request.method,
      request.routeOptions.url ?? 'none',
      reply.statusCode,
      reply.elapsedTime / 1_000,
    );
    request.log.debug(
      { method: request.method, url: request.url, status: reply.statusCode, ms: reply.elapsedTime },
      'answered',
    );
  });
  app.setErrorHandler(answerWithProblem);
  await watch?.(app);

  await app.register(async (open) => systemApi(open as ApiInstance, options.system));
  await app.register(
    async (guarded) => {
      requireAccess(guarded as unknown as FastifyInstance, options.access);
      load.attach(guarded as unknown as FastifyInstance);
      boundTenants(guarded as unknown as FastifyInstance, resources.routes.store);
      answerConditions(guarded as unknown as FastifyInstance);
      guarded.setNotFoundHandler(() => {}); // of its own, so that unknown addresses below /v1 need the token as well
      // Those with a schema say so themselves.
      guarded.addHook('preValidation', async ({ routeOptions, query }) => {
        if (routeOptions.schema?.querystring === undefined) refuseParameters(query as object);
      });
      takeIdempotencyKeys(guarded as unknown as FastifyInstance, {
        keys: options.idempotency,
        load,
        stopping,
      });
      const api = guarded as ApiInstance;
      routesApi(api, { ...resources.routes, load, share: options.share, stopping });
      certificatesApi(api, resources.certificates);
      issuersApi(api, resources.issuers);
      settingsApi(api, resources.settings);
      nodesApi(api, resources.nodes);
      keysApi(api, resources.keys);
      tokensApi(api, resources.tokens);
      auditApi(api, resources.audit);
      authorityApi(api, resources.authority);
      webhooksApi(api, resources.webhooks);
      eventsApi(api, { ...resources.events, authenticate: options.access.authenticate, stopping });
    },
    { prefix: '/v1' },
  );
  return app;
}

function overTls(source: TlsSource) {
  const limits = { maxHeaderSize: parsedHeadBytes, requestTimeoutMs, keepAliveTimeoutMs: 72_000 };
  return (listener: RequestListener) => createTlsServer(source, limits, listener);
}

function refuseParameters(query: object): void {
  const names = Object.keys(query);
  if (names.length > 0) throw invalidRequest(unknownParameters(names));
}
