import { AppError, maxBodyBytes } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyRequest,
  fastify,
  LogController,
} from 'fastify';
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Logger } from 'pino';
import type { CertificateService } from '../certificates/certificate-service.ts';
import type { CertificateView } from '../certificates/certificate-view.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { FleetWatch } from '../fleet/fleet-status.ts';
import { invalidRequest } from '../invalid-field.ts';
import type { Ledger } from '../issuance/ledger/ledger.ts';
import type { RetryFailed } from '../issuance/retry-failed.ts';
import type { IssuerService } from '../issuers/issuer-service.ts';
import type { LoopShare } from '../loop-share.ts';
import type { Metrics } from '../metrics.ts';
import { describeApi } from '../openapi/describe-api.ts';
import type { Ready } from '../readiness.ts';
import type { RouteChecker } from '../routes/route-check.ts';
import type { RouteService } from '../routes/route-service.ts';
import type { RouteView } from '../routes/route-view.ts';
import type { SettingsService } from '../settings/settings-service.ts';
import { answerUnknown } from './allowed-methods.ts';
import { createUnreadable } from './answer-unreadable.ts';
import type { ApiInstance } from './api-instance.ts';
import { requireBearerToken } from './bearer-token.ts';
import { certificatesApi } from './certificates.ts';
import { statusOf } from './error-status.ts';
import { issuersApi } from './issuers.ts';
import { readJsonBody } from './json-body.ts';
import { createLoadBound, type LoadBoundOptions } from './load-bound.ts';
import { nodesApi } from './nodes.ts';
import { answerWithProblem, unknownParameters } from './problem-answers.ts';
import { checkHead, parsedHeadBytes } from './read-head.ts';
import { requestIdOf } from './request-id.ts';
import { toOriginForm } from './request-target.ts';
import { routesApi } from './routes.ts';
import { settingsApi } from './settings.ts';
import { authorityApi, systemApi } from './system.ts';

export interface ServerOptions {
  adminToken: string;
  store: ConfigStore;
  fleet: Fleet;
  fleetWatch: FleetWatch;
  service: RouteService;
  view: RouteView;
  checker: RouteChecker;
  certificates: CertificateService;
  certificateView: CertificateView;
  issuers: IssuerService;
  ledger: Ledger;
  retryFailed: RetryFailed;
  settings: SettingsService;
  ready: Ready;
  metrics: Metrics;
  stopping: AbortSignal;
  load?: LoadBoundOptions;
  /** Where writes wait for their turn of the event loop. */
  share: LoopShare;
  /** The names of this server, besides addresses and localhost: a request to any other is refused. */
  adminHosts: readonly string[];
  log: Logger | null;
}

/** The admin API over HTTP, not listening yet. `watch` sees each route as it is added. */
export async function createServer(
  options: ServerOptions,
  watch?: (app: ApiInstance) => PromiseLike<unknown>,
): Promise<ApiInstance> {
  const { log, metrics } = options;
  const load = createLoadBound({ share: options.share, ...options.load });
  const unreadable = createUnreadable((error, requestId) => {
    const status = statusOf[error.code];
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
    requestTimeout: 30_000, // to receive a request; an answer may take as long as its caller prefers to wait
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

  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, async (request: FastifyRequest, body: Buffer) =>
    readJsonBody(request, body),
  );
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
    if (options.stopping.aborted) throw new AppError('shutting_down', 'the control plane stops');
    checkHead(request, options.adminHosts);
    // A type of nothing says nothing, and many clients send one with every request.
    const { 'content-length': length, 'transfer-encoding': coding } = request.headers;
    if (coding === undefined && (length === undefined || length === '0'))
      delete request.headers['content-type'];
  });
  answerUnknown(app as unknown as FastifyInstance);
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
  describeApi(app);

  await app.register(async (open) => systemApi(open as ApiInstance, options));
  await app.register(
    async (guarded) => {
      requireBearerToken(guarded as unknown as FastifyInstance, options.adminToken);
      load.attach(guarded as unknown as FastifyInstance);
      guarded.setNotFoundHandler(() => {}); // of its own, so that unknown addresses below /v1 need the token as well
      // Those with a schema say so themselves.
      guarded.addHook('preValidation', async ({ routeOptions, query }) => {
        if (routeOptions.schema?.querystring === undefined) refuseParameters(query as object);
      });
      const api = guarded as ApiInstance;
      routesApi(api, { ...options, load });
      certificatesApi(api, options);
      issuersApi(api, options);
      settingsApi(api, options);
      nodesApi(api, options);
      authorityApi(api, options);
    },
    { prefix: '/v1' },
  );
  return app;
}

function refuseParameters(query: object): void {
  const names = Object.keys(query);
  if (names.length > 0) throw invalidRequest(unknownParameters(names));
}
