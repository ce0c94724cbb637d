import { randomUUID } from 'node:crypto';
import { AppError, maxBodyBytes } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import {
  type FastifyBaseLogger,
  type FastifyInstance,
  fastify,
  LogController,
  type RawReplyDefaultExpression,
  type RawRequestDefaultExpression,
  type RawServerDefault,
} from 'fastify';
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Logger } from 'pino';
import type { CertificateService } from '../certificates/certificate-service.ts';
import type { CertificateView } from '../certificates/certificate-view.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { Ledger } from '../issuance/ledger/ledger.ts';
import type { RetryFailed } from '../issuance/retry-failed.ts';
import type { IssuerService } from '../issuers/issuer-service.ts';
import type { Metrics } from '../metrics.ts';
import { describeApi } from '../openapi/describe-api.ts';
import type { Ready } from '../readiness.ts';
import type { RouteChecker } from '../routes/route-check.ts';
import type { RouteService } from '../routes/route-service.ts';
import type { RouteView } from '../routes/route-view.ts';
import type { SettingsService } from '../settings/settings-service.ts';
import { requireBearerToken } from './bearer-token.ts';
import { certificatesApi } from './certificates.ts';
import { issuersApi } from './issuers.ts';
import { mergePatch } from './media-types.ts';
import { nodesApi } from './nodes.ts';
import { answerWithProblems } from './problem-answers.ts';
import { routesApi } from './routes.ts';
import { settingsApi } from './settings.ts';
import { authorityApi, systemApi } from './system.ts';

export type ApiInstance = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  ZodTypeProvider
>;

export interface ServerOptions {
  adminToken: string;
  store: ConfigStore;
  fleet: Fleet;
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
  log: Logger | null;
}

/** The admin API over HTTP, not listening yet. */
export async function createServer(options: ServerOptions): Promise<ApiInstance> {
  const { log, metrics } = options;
  const app = fastify({
    ...(log === null ? { logger: false as const } : { loggerInstance: log as FastifyBaseLogger }),
    bodyLimit: maxBodyBytes,
    logController: new LogController({ disableRequestLogging: true }),
    routerOptions: { maxParamLength: 300 }, // a host has up to 253 characters
    forceCloseConnections: 'idle',
    genReqId: () => randomUUID(),
    requestIdHeader: false,
    requestTimeout: 30_000, // to receive a request; an answer may take as long as its caller prefers to wait
  }).withTypeProvider<ZodTypeProvider>();

  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.removeContentTypeParser('text/plain');
  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser(mergePatch, { parseAs: 'string' }, parseJson);
  app.addHook('preParsing', async (request) => {
    if (request.method === 'PATCH' || !request.headers['content-type']?.startsWith(mergePatch)) return;
    throw new AppError(
      'unsupported_media_type',
      `send the body as application/json; ${mergePatch} is for PATCH`,
    );
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
  answerWithProblems(app as unknown as FastifyInstance);
  await describeApi(app);

  await app.register(async (open) => systemApi(open as ApiInstance, options));
  await app.register(
    async (guarded) => {
      requireBearerToken(guarded as unknown as FastifyInstance, options.adminToken);
      // Unknown addresses below /v1 need the token as well.
      guarded.setNotFoundHandler((request) => {
        throw new AppError(
          'not_found',
          `there is no ${request.method} ${request.url.split('?')[0]}; /openapi.json lists what there is`,
        );
      });
      const api = guarded as ApiInstance;
      routesApi(api, options);
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
