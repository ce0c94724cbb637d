import { createHash } from 'node:crypto';
import { AppError } from '@lockstep/contract';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Condition } from '../changes/writes.ts';
import { invalidField } from '../validation/invalid-field.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Its resource has an ETag, which conditions of a request are held against. */
    conditional?: true;
  }
}

const entityTag = /^(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"$/;

/**
 * The revision of what is stored of a resource (0: it is there without a record of its own), and what moves in its answers without that:
 * `"41"`, or `"41.Rk3xP0mQ7aZd"`. Changes are held against the revision alone, which the tag begins with.
 */
function etagOf(revision: number | null, moving: object | null = null): string {
  const number = revision ?? 0;
  if (moving === null) return `"${number}"`;
  const digest = createHash('sha256').update(JSON.stringify(moving)).digest('base64url');
  return `"${number}.${digest.slice(0, 16)}"`;
}

/** Tags of the same revision are one to those who change it. */
function ofRevision(tag: string): string {
  return tag.replace(/^("\d+)\.[\w-]+"$/, '$1"');
}

/**
 * What `If-Match` and `If-None-Match` ask of the resource (RFC 9110, section 13.1); undefined where they ask nothing. Throws
 * `invalid_request`.
 */
export function conditionOf({ headers }: Pick<FastifyRequest, 'headers'>): Condition | undefined {
  const match = tagsOf('If-Match', headers['if-match']);
  const noneMatch = tagsOf('If-None-Match', headers['if-none-match']);
  if (match === null && noneMatch === null) return undefined;
  return (revision) => {
    if (match !== null && !isAmong(match, revision)) throw preconditionFailed('If-Match', revision);
    if (noneMatch !== null && isAmong(noneMatch.map(strong), revision))
      throw preconditionFailed('If-None-Match', revision);
  };
}

/** Tells with which tag a resource is answered; throws `precondition_failed` where a read asks for another. */
export function tag(
  request: FastifyRequest,
  reply: FastifyReply,
  revision: number | null,
  moving: object | null = null,
): void {
  reply.header('etag', etagOf(revision, moving));
  const match = isRead(request) ? tagsOf('If-Match', request.headers['if-match']) : null;
  if (match !== null && !isAmong(match, revision ?? 0)) throw preconditionFailed('If-Match', revision ?? 0);
}

/** Answers 304 where whoever reads has what there is, and refuses conditions of writes that nothing holds them against. */
export function answerConditions(app: FastifyInstance): void {
  app.addHook('preValidation', async (request) => {
    const { headers, routeOptions } = request;
    if (isRead(request) || routeOptions.config.conditional === true) return;
    const field = (['If-Match', 'If-None-Match'] as const).find(
      (name) => headers[name.toLowerCase()] !== undefined,
    );
    if (field !== undefined)
      throw new AppError('precondition_failed', `this address has no ETag; leave ${field} out`);
  });
  app.addHook('onSend', async (request, reply, payload) => {
    const etag = reply.getHeader('etag');
    if (!isRead(request) || reply.statusCode !== 200 || typeof etag !== 'string') return payload;
    const tags = tagsOf('If-None-Match', request.headers['if-none-match'])?.map(strong);
    if (tags === undefined || !(tags.includes('*') || tags.includes(etag))) return payload;
    reply.code(304).removeHeader('content-type').removeHeader('content-length');
    return null;
  });
}

function isRead({ method }: FastifyRequest): boolean {
  return method === 'GET' || method === 'HEAD';
}

/** `*` stands for whatever there is. */
function isAmong(tags: string[], revision: number | null): boolean {
  return revision !== null && (tags.includes('*') || tags.map(ofRevision).includes(etagOf(revision)));
}

/** Tags are compared weakly by If-None-Match (RFC 9110, section 13.1.2). */
function strong(tag: string): string {
  return tag.replace(/^W\//, '');
}

function tagsOf(field: string, value: string | undefined): string[] | null {
  if (value === undefined) return null;
  const tags = value.trim() === '*' ? ['*'] : value.split(',').map((one) => one.trim());
  const given = tags.filter((one) => one !== '');
  if (given.length === 0 || !given.every((one) => entityTag.test(one) || (one === '*' && tags.length === 1)))
    throw invalidField(field, 'is neither * nor a list of entity tags, as the ETag of an answer: "41"');
  return given;
}

function preconditionFailed(field: string, revision: number | null): AppError {
  const found = revision === null ? 'there is none' : `it is at ${etagOf(revision)}`;
  return new AppError('precondition_failed', `${field} asks for another revision of this: ${found}`, {
    facts: { revision },
  });
}
