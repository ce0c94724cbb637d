import type { EdgeSettings } from '@lockstep/contract';
import { cutOff } from '../../server/break-off.ts';
import { requestIdOf } from '../../server/request-id.ts';
import { requestRefusals } from '../../server/request-refusal.ts';
import { sendProblem } from '../../server/send-problem.ts';
import type { Incidents } from '../clients/incidents.ts';
import type { ExchangeWatch, Stall } from './exchange-watch.ts';
import type { OpenExchanges } from './open-exchanges.ts';

type StallIncidents = Pick<Incidents, 'onRefused' | 'onCut' | 'onException'>;

/** Ends those whose client does not get on. */
export function endStalled(
  open: OpenExchanges,
  now: number,
  { timeouts, limits }: EdgeSettings,
  incidents: StallIncidents,
): void {
  const hurried = hurry(timeouts, limits);
  for (const watch of open.all()) {
    try {
      const stall = watch.check(now, watch.exchange?.inDemand ? hurried : timeouts);
      if (stall !== null) end(watch, stall, incidents);
    } catch (error) {
      incidents.onException('deadline', error);
      cutOff(watch.response);
    }
  }
}

function end(watch: ExchangeWatch, stall: Stall, incidents: StallIncidents): void {
  const { request, response } = watch;
  if (stall === 'stalled_body' && !response.headersSent) {
    watch.cause = 'body_timeout';
    incidents.onRefused('body_timeout');
    const { status, code, detail } = requestRefusals.body_timeout;
    if (!('stream' in response)) response.setHeader('connection', 'close');
    sendProblem(response, status, code, detail, requestIdOf(request.headers['x-request-id']));
    return;
  }
  incidents.onCut(stall);
  cutOff(response);
}

/** Who stands still while others wait for a connection has to get on before those have waited for nothing. */
function hurry(
  timeouts: EdgeSettings['timeouts'],
  { upstreamPendingMs }: EdgeSettings['limits'],
): typeof timeouts {
  const mostMs = upstreamPendingMs / 2;
  return {
    ...timeouts,
    bodyIdleMs: Math.min(timeouts.bodyIdleMs, mostMs),
    writeIdleMs: Math.min(timeouts.writeIdleMs, mostMs),
  };
}
