import {
  AppError,
  createProblem,
  type ErrorCode,
  errorCodes,
  type FieldError,
  isAppError,
  type Problem,
  problemContentType,
} from '@lockstep/contract';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { invalidField, invalidRequest, unknownFields } from '../validation/invalid-field.ts';
import { pathOf } from './request-target.ts';

/**
 * Every error leaves as a problem document (RFC 9457); what was not expected, as a 500 without detail, logged once. Fastify's own errors
 * too, some of which it meets before there is a route, and so outside of every hook.
 */
export function answerWithProblem(
  error: FastifyError | AppError,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const known = toAppError(error, request);
  if (known === null) request.log.error({ err: error }, 'a request failed unexpectedly');
  const answered = known ?? unexpected;
  if (answered.code === 'unauthorized') reply.header('www-authenticate', 'Bearer realm="lockstep"');
  const retryAfterSeconds = answered.facts.retryAfterSeconds ?? retryAfterSecondsOf[answered.code];
  if (retryAfterSeconds !== undefined) reply.header('retry-after', String(retryAfterSeconds));
  // Fastify closes after every body that it could not use: only one that is still under way cannot be told from what follows.
  const closes = reply.hasHeader('connection') && answered.code !== 'shutting_down';
  if (closes && request.raw.complete) reply.removeHeader('connection');
  return reply
    .code(errorCodes[answered.code].status)
    .header('x-request-id', request.id)
    .type(problemContentType)
    .serializer((problem: Problem) => JSON.stringify(problem))
    .send(problemOf(answered, request.id));
}

/** For what is over in a moment. */
const retryAfterSecondsOf: Partial<Record<ErrorCode, number>> = {
  overloaded: 1,
  store_unavailable: 2,
  shutting_down: 2,
};

const unexpected = new AppError(
  'internal',
  'something unexpected failed; the log has it under this request’s id',
);

/** The problem document of an error, as this API answers it. */
export function problemOf(error: AppError, requestId: string): Problem {
  const wholeBody = error.code === 'invalid_request' ? [{ pointer: '', detail: error.message }] : [];
  const errors = error.errors.length > 0 ? error.errors : wholeBody;
  const members = errors.length > 0 ? { ...error.facts, errors } : error.facts;
  return createProblem(error.code, errorCodes[error.code].status, error.message, {
    ...members,
    instance: requestId,
  });
}

function toAppError(error: FastifyError | AppError, request: FastifyRequest): AppError | null {
  if (isAppError(error)) return error;
  if (hasZodFastifySchemaValidationErrors(error)) {
    const inBody = error.validationContext === 'body';
    if (inBody && request.body === undefined)
      return invalidField('', 'is empty; send a JSON object as application/json');
    return invalidRequest(
      error.validation.flatMap(({ instancePath, message = '', params }) => {
        if (inBody) return bodyErrors(instancePath, message, params);
        return parameterErrors(request, instancePath.slice(1), message, params);
      }),
    );
  }
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new AppError('payload_too_large', 'the body is over 1 MiB');
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new AppError('unsupported_media_type', 'send the body as application/json');
    case 'FST_ERR_BAD_URL':
      return invalidField('path', `"${pathOf(request.url).slice(0, 200)}" has an escape that is no UTF-8`);
  }
  const refused = error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500;
  return refused ? invalidField('', 'did not arrive as it was announced', error) : null;
}

function bodyErrors(instancePath: string, detail: string, params: Record<string, unknown>) {
  const pointer = instancePath === '/' ? '' : instancePath;
  return Array.isArray(params.keys) ? unknownFields(pointer, params.keys, detail) : [{ pointer, detail }];
}

function parameterErrors(
  { query }: FastifyRequest,
  pointer: string,
  detail: string,
  params: Record<string, unknown>,
) {
  if (Array.isArray(params.keys)) return unknownParameters(params.keys);
  const repeated = Array.isArray((query as Record<string, unknown>)[pointer]);
  return [{ pointer, detail: repeated ? 'is there more than once' : detail }];
}

export function unknownParameters(names: string[]): FieldError[] {
  return names.map((pointer) => ({ pointer, detail: 'there is no such parameter' }));
}
