import { AppError } from '@lockstep/contract';
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteHandlerMethod } from 'fastify';
import type { IdempotencyKeys, KeyTurn, KeyUse } from '../idempotency/idempotency-keys.ts';
import { type KeptAnswer, type KeyedRequest, MadeByAnother } from '../idempotency/keyed-request.ts';
import { invalidField } from '../validation/invalid-field.ts';
import type { LoadBound } from './load-bound.ts';
import { accessOf } from './request-origin.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Null where it has no Idempotency-Key. */
    keyed: KeyedRequest | null;
  }
  interface FastifyContextConfig {
    /** It is safe to repeat by itself, and its answer too long to be kept. */
    repeatable?: true;
  }
}

/** Headers of an answer that a repeat gets as well. */
const keptHeaders = ['content-type', 'location', 'etag', 'preference-applied', 'cache-control'];

export interface IdempotentOptions {
  keys: IdempotencyKeys;
  load: Pick<LoadBound, 'wait'>;
  stopping: AbortSignal;
}

/**
 * Has every POST below this instance's prefix take an `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): to be called before
 * they are added. What is refused makes nothing, and keeps no key.
 */
export function takeIdempotencyKeys(app: FastifyInstance, { keys, load, stopping }: IdempotentOptions): void {
  const turns = new WeakMap<FastifyRequest, Extract<KeyTurn, { answer: null }>>();
  app.decorateRequest('keyed', null);

  app.addHook('onRoute', (route) => {
    if (route.method !== 'POST' || route.config?.repeatable === true) return;
    const handler = route.handler;
    route.handler = async function keyed(request, reply) {
      const key = keyOf(request);
      if (key === null) return handler.call(this, request, reply);
      return workOn(useOf(request, key), request, reply, handler.bind(this));
    };
  });

  async function workOn(
    use: KeyUse,
    request: FastifyRequest,
    reply: FastifyReply,
    handler: OmitThisParameter<RouteHandlerMethod>,
  ): Promise<unknown> {
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    const signal = AbortSignal.any([stopping, gone.signal]);

    async function go(): Promise<unknown> {
      const turn = await keys.turn(use, signal, () => load.wait(request));
      if (turn.answer !== null) return replay(reply, turn.answer);
      turns.set(request, turn);
      request.keyed = turn.keyed;
      // What is taken up where another left it is a repeat too.
      if (turn.keyed.made !== null) reply.header('idempotency-replayed', 'true');
      return handler(request, reply);
    }

    try {
      return await go();
    } catch (error) {
      // Where this process stood still for longer than its lease: another has made it, which may be why this was refused.
      const beaten =
        error instanceof MadeByAnother ||
        (request.keyed?.taken === false && (await keys.isTaken(use).catch(() => false)));
      if (!beaten) throw error;
      await end(request);
      return await go();
    }
  }

  async function end(request: FastifyRequest): Promise<void> {
    const turn = turns.get(request);
    turns.delete(request);
    await turn?.end();
  }

  app.addHook('onSend', async (request, reply, payload) => {
    const turn = turns.get(request);
    if (turn === undefined) return payload;
    try {
      // Whoever has gone away without the answer comes again, and may want to wait longer.
      if (reply.statusCode < 400 && !reply.raw.destroyed) await turn.keyed.answered(kept(reply, payload));
    } catch (error) {
      request.log.warn({ err: error }, 'an answer could not be kept for its Idempotency-Key');
    } finally {
      await end(request);
    }
    return payload;
  });
}

/**
 * Does the work of a request, or gives back what it made before: one whose control plane died after its commit goes on behind it. `facts`
 * are what its answer needs of it; they are in the store, sealed, from the moment that it is made.
 */
export async function once<F extends object>(
  { keyed }: Pick<FastifyRequest, 'keyed'>,
  facts: F,
  work: (facts: F) => Promise<unknown>,
): Promise<F> {
  if (keyed?.made) return keyed.made as F;
  keyed?.remember(facts);
  await work(facts);
  return facts;
}

/**
 * The same for work of several commits, each of which may be made again: a repeat makes what a control plane that died had not come to, and
 * knows the facts as they stood at its first commit.
 */
export async function onwards<F extends object>(
  { keyed }: Pick<FastifyRequest, 'keyed'>,
  facts: F,
  work: (facts: F) => Promise<unknown>,
): Promise<F> {
  const known = { ...facts, ...keyed?.made };
  keyed?.remember(known);
  await work(known);
  return known;
}

function keyOf({ headers }: FastifyRequest): string | null {
  const key = headers['idempotency-key'];
  if (key === undefined) return null;
  if (typeof key === 'string' && /^[!-~]{1,255}$/.test(key)) return key;
  throw invalidField('Idempotency-Key', 'has to have 1 to 255 visible ASCII characters, as a UUID has');
}

function useOf(request: FastifyRequest, key: string): KeyUse {
  const { principal } = accessOf(request);
  const { method, url, body } = request;
  return { by: principal, key, request: JSON.stringify([method, url, body ?? null]) };
}

function replay(reply: FastifyReply, { status, headers, body }: KeptAnswer): FastifyReply {
  return reply
    .code(status)
    .headers(headers)
    .header('idempotency-replayed', 'true')
    .serializer((text: string) => text)
    .send(body);
}

function kept(reply: FastifyReply, payload: unknown): KeptAnswer {
  if (typeof payload !== 'string') throw new AppError('internal', 'the answer is no text');
  const headers = keptHeaders.flatMap((name) => {
    const value = reply.getHeader(name);
    return value === undefined ? [] : [[name, String(value)]];
  });
  return { status: reply.statusCode, headers: Object.fromEntries(headers), body: payload };
}
