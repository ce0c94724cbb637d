import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '@lockstep/contract';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { LoopShare } from '../time/loop-share.ts';
import { parseWait } from './prefer.ts';

/** Writes that one control plane takes at once, the time they wait for each other and the store in it. */
const mostWrites = 500;
/** Callers that wait for a route of theirs to be live. */
const mostWaits = 5_000;
const lookAgainMs = 2;

/**
 * Bounds what one control plane works on at once. More writes than it bears are refused before their bodies are read, so that those it has
 * taken, its health checks and all reads go on; whoever only waits counts by itself.
 */
export interface LoadBound {
  /** Counts the writes below this instance's prefix. Refuses them with `overloaded` while there are too many. */
  attach(app: FastifyInstance): void;
  /** The request's write is made, and it goes on to wait. False when too many do: it is answered at once. */
  wait(request: FastifyRequest): boolean;
  /** Resolves once no write is worked on here, streams of many aside, and nobody waits for a certificate; or after so long. */
  quiet(longestMs: number): Promise<void>;
}

export interface LoadBoundOptions {
  share?: LoopShare;
  writes?: number;
  waits?: number;
}

export function createLoadBound({
  share,
  writes = mostWrites,
  waits = mostWaits,
}: LoadBoundOptions = {}): LoadBound {
  const writing = new WeakSet<FastifyRequest>();
  const waiting = new WeakSet<FastifyRequest>();
  let writers = 0;
  let streams = 0;
  let waiters = 0;

  const isStream = ({ routeOptions }: FastifyRequest) => routeOptions.config.streams === true;

  function leave(request: FastifyRequest): void {
    if (writing.delete(request)) {
      writers -= 1;
      if (isStream(request)) streams -= 1;
    }
    if (waiting.delete(request)) waiters -= 1;
  }

  return {
    attach(app) {
      app.addHook('onRequest', async (request, reply) => {
        if (request.method === 'GET' || request.method === 'HEAD' || request.method === 'OPTIONS') return;
        if (writers >= writes)
          throw new AppError(
            'overloaded',
            `${writes} writes are under way; try again after Retry-After seconds`,
          );
        writers += 1;
        if (isStream(request)) streams += 1;
        writing.add(request);
        // And not by `onResponse`, which does not come where the caller has gone away before the answer.
        reply.raw.once('close', () => leave(request));
        await share?.turn(parseWait(request.headers.prefer) === null ? 'requests' : 'waited');
      });
    },
    wait(request) {
      leave(request);
      if (waiters >= waits) return false;
      waiters += 1;
      waiting.add(request);
      return true;
    },
    async quiet(longestMs) {
      const until = performance.now() + longestMs;
      while (writers > streams || share?.hurry() === true) {
        const left = until - performance.now();
        if (left <= 0) return;
        await delay(Math.min(lookAgainMs, left));
      }
    },
  };
}
