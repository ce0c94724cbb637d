import {
  AppError,
  createProblem,
  type ErrorCode,
  type FieldError,
  isAppError,
  type Problem,
  problemContentType,
} from '@lockstep/contract';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { invalidRequest, unknownFields } from '../invalid-field.ts';

const statusOf = {
  invalid_request: 400,
  unauthorized: 401,
  not_found: 404,
  method_not_allowed: 405,
  request_timeout: 408,
  host_taken: 409,
  id_taken: 409,
  in_use: 409,
  wrong_state: 409,
  revision_conflict: 409,
  payload_too_large: 413,
  unsupported_media_type: 415,
  uri_too_long: 414,
  expectation_failed: 417,
  misdirected: 421,
  headers_too_large: 431,
  not_implemented: 501,
  commit_too_large: 413,
  lease_lost: 503,
  node_id_taken: 409,
  overloaded: 503,
  store_unavailable: 503,
  store_lost: 503,
  shutting_down: 503,
  wrong_secret_key: 500,
  bad_certificate: 500,
  issuer_failed: 502,
  bad_configuration: 500,
  no_route: 404,
  upstream_unreachable: 502,
  upstream_timeout: 504,
  internal: 500,
} satisfies Record<ErrorCode, number>;

/** Every error leaves as a problem document (RFC 9457); what was not expected, as a 500 without detail, logged once. */
export function answerWithProblems(app: FastifyInstance): void {
  app.setErrorHandler((error: FastifyError | AppError, request, reply) => {
    const known = toAppError(error);
    if (known === null) request.log.error({ err: error }, 'a request failed unexpectedly');
    return sendProblem(
      request,
      reply,
      known ??
        new AppError('internal', 'something unexpected failed; the log has it under this request’s id'),
    );
  });
  app.setNotFoundHandler((request, reply) =>
    sendProblem(
      request,
      reply,
      new AppError(
        'not_found',
        `there is no ${request.method} ${request.url.split('?')[0]}; /openapi.json lists what there is`,
      ),
    ),
  );
}

/** The problem document of an error, as this API answers it. */
export function problemOf(error: AppError, requestId: string): Problem {
  const members = error.errors.length > 0 ? { ...error.facts, errors: error.errors } : error.facts;
  return createProblem(error.code, statusOf[error.code], error.message, { ...members, instance: requestId });
}

function sendProblem(request: FastifyRequest, reply: FastifyReply, error: AppError): FastifyReply {
  if (error.code === 'unauthorized') reply.header('www-authenticate', 'Bearer realm="lockstep"');
  if (error.code === 'store_unavailable') reply.header('retry-after', '2');
  if (error.code === 'overloaded') reply.header('retry-after', '1');
  return reply
    .code(statusOf[error.code])
    .type(problemContentType)
    .serializer((problem: Problem) => JSON.stringify(problem))
    .send(problemOf(error, request.id));
}

function toAppError(error: FastifyError | AppError): AppError | null {
  if (isAppError(error)) return error;
  if (hasZodFastifySchemaValidationErrors(error)) {
    const inBody = error.validationContext === 'body';
    return invalidRequest(
      error.validation.flatMap(({ instancePath, message, params }) =>
        inBody
          ? bodyErrors(instancePath, message ?? '', params)
          : parameterErrors(instancePath, message ?? '', params),
      ),
    );
  }
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new AppError('payload_too_large', 'the body is over 1 MiB');
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new AppError(
        'unsupported_media_type',
        'send the body as application/json (PATCH also takes application/merge-patch+json)',
      );
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return new AppError('invalid_request', 'the body is empty; send a JSON object');
  }
  const refused = error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500;
  return refused ? new AppError('invalid_request', error.message) : null;
}

function bodyErrors(instancePath: string, detail: string, params: Record<string, unknown>): FieldError[] {
  const pointer = instancePath === '/' ? '' : instancePath;
  return Array.isArray(params.keys) ? unknownFields(pointer, params.keys) : [{ pointer, detail }];
}

function parameterErrors(
  instancePath: string,
  detail: string,
  params: Record<string, unknown>,
): FieldError[] {
  if (!Array.isArray(params.keys)) return [{ pointer: instancePath.slice(1), detail }];
  return params.keys.map((pointer: string) => ({ pointer, detail: 'there is no such parameter' }));
}
