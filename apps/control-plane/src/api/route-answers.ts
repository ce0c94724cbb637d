import type { Route } from '@lockstep/contract';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { routeNotFound } from '../routes/route-refusals.ts';
import type { RouteView } from '../routes/route-view.ts';
import { tag } from './conditions.ts';
import type { LoadBound } from './load-bound.ts';
import { movingOfRoute } from './moving-parts.ts';

export interface RouteAnswersOptions {
  view: RouteView;
  load: Pick<LoadBound, 'wait'>;
  /** Aborted when the control plane stops: waits are answered then. */
  stopping: AbortSignal;
}

/** Answers a write with the route: after the wait that the caller prefers, if any. */
export type AnswerRoute = (
  request: FastifyRequest,
  reply: FastifyReply,
  id: string,
  preferredSeconds: number | null,
  created: boolean,
) => Promise<FastifyReply>;

export function createRouteAnswers({ view, load, stopping }: RouteAnswersOptions): AnswerRoute {
  /** Ends early also when the caller hangs up, so that nothing waits for nobody. */
  async function settled({ raw }: FastifyRequest, id: string, timeoutMs: number): Promise<Route | null> {
    const gone = new AbortController();
    const onClose = () => gone.abort();
    raw.socket.once('close', onClose);
    try {
      return await view.settled(id, timeoutMs, AbortSignal.any([stopping, gone.signal]));
    } finally {
      raw.socket.off('close', onClose);
    }
  }

  return async (request, reply, id, preferred, created) => {
    // A preference may be passed over (RFC 7240, section 2): the write stands either way.
    const waitSeconds = preferred !== null && load.wait(request) ? preferred : null;
    if (waitSeconds !== null) reply.header('preference-applied', `wait=${waitSeconds}`);
    const route =
      waitSeconds === null ? await view.route(id) : await settled(request, id, waitSeconds * 1_000);
    if (route === null) throw routeNotFound(id);
    if (created) reply.header('location', `/v1/routes/${id}`);
    tag(request, reply, route.revision, movingOfRoute(route));
    const live = route.status.state === 'live';
    if (created) return reply.code(live || preferred === null ? 201 : 202).send(route);
    return reply.code(live ? 200 : 202).send(route);
  };
}
