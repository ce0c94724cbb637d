import type { ServerResponse } from 'node:http';
import type { ClientResponse } from '../../server/client-message.ts';
import { requestRefusals } from '../../server/request-refusal.ts';
import { sendProblem } from '../../server/send-problem.ts';
import type { FailureCause } from '../upstreams/failure-cause.ts';

const retryAfterSeconds = 1;
const timeouts = new Set<FailureCause>([
  'upstream_timeout_connect',
  'upstream_timeout_first_byte',
  'upstream_timeout_total',
]);

/** Answers in the upstream's place. What it was exactly is for the operator; a client learns no more than it needs. */
export function answerFailure(
  answer: ClientResponse,
  cause: FailureCause,
  dialled: boolean,
  requestId: string,
): void {
  const response = answer as ServerResponse;
  // What was taken over of a head that then could not be written.
  for (const name of response.getHeaderNames()) if (name !== 'connection') response.removeHeader(name);
  if (!('stream' in answer)) response.statusMessage = '';
  if (cause === 'request_not_forwardable') {
    sendProblem(answer, 400, 'invalid_request', 'The request cannot be forwarded.', requestId);
  } else if (cause === 'client_body_broke_off') {
    sendProblem(answer, 400, 'invalid_request', 'The body ended before it was complete.', requestId);
  } else if (cause === 'client_trailer_too_large') {
    sendProblem(answer, 431, 'headers_too_large', 'The trailer of the request is too large.', requestId);
  } else if (cause === 'client_body_too_large') {
    const { status, code, detail } = requestRefusals.body_too_large;
    if (!('stream' in answer)) response.setHeader('connection', 'close');
    sendProblem(answer, status, code, detail, requestId);
  } else if (cause === 'upstream_busy') {
    response.setHeader('retry-after', retryAfterSeconds);
    sendProblem(answer, 503, 'upstream_busy', 'The upstream has no room for more requests.', requestId);
  } else if (cause === 'edge_failed') {
    sendProblem(answer, 500, 'internal', 'Something unexpected failed.', requestId);
  } else if (timeouts.has(cause)) {
    sendProblem(answer, 504, 'upstream_timeout', 'The upstream did not answer in time.', requestId);
  } else {
    const what = dialled ? 'broke off before it answered' : 'cannot be reached';
    sendProblem(answer, 502, 'upstream_unreachable', `The upstream ${what}.`, requestId);
  }
}
