import { AppError } from '@lockstep/contract';
import type { FastifyInstance } from 'fastify';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Its body is worked on while it comes, as fast as that goes. */
    streams?: true;
  }
}

/** For a body that is worked on while it comes; the parser waits for no longer. */
export const longestStreamMs = 1_800_000;
const longestBodyMs = 30_000;

/** Refuses bodies that do not arrive in time. */
export function boundBodies(app: FastifyInstance, longestMs = longestBodyMs): void {
  app.addHook('preParsing', async (request, reply, payload) => {
    const { raw, routeOptions } = request;
    if (raw.complete || routeOptions.config?.streams === true) return payload;
    const timer = setTimeout(() => {
      if (raw.complete || reply.sent) return;
      reply.header('connection', 'close');
      void reply.send(new AppError('request_timeout', 'the body did not arrive in time'));
    }, longestMs);
    // Of a body that is refused before its end, the request tells of neither end nor close.
    for (const [stream, event] of [
      [raw, 'end'],
      [raw, 'close'],
      [reply.raw, 'close'],
    ] as const)
      stream.once(event, () => clearTimeout(timer));
    return payload;
  });
}
