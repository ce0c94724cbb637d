import type { ClientRequest, ClientResponse } from '../../server/client-message.ts';
import { sendOwnAnswer } from '../../server/own-answer.ts';

const healthPath = '/.well-known/lockstep/health';
const fields = ['content-type', 'text/plain; charset=utf-8', 'cache-control', 'no-store'];
const healthy = { status: 200, fields, body: Buffer.from('ok\n') };
const drained = { status: 503, fields, body: Buffer.from('drained\n') };

/**
 * Answers a balancer that asks whether it may send traffic, and says whether it was that. To be asked where no route serves the host, or none is
 * named: what is a customer's own is never answered for.
 */
export function answerHealth(request: ClientRequest, answer: ClientResponse, isDrained: boolean): boolean {
  if (request.url !== healthPath || (request.method !== 'GET' && request.method !== 'HEAD')) return false;
  sendOwnAnswer(answer, isDrained ? drained : healthy, fields);
  return true;
}
