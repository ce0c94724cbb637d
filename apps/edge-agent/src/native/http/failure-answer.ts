import type { OwnAnswer } from '../../server/own-answer.ts';
import { requestRefusals } from '../../server/request-refusal.ts';
import { problemAnswer } from '../../server/send-problem.ts';
import type { FailureCause } from '../upstreams/failure-cause.ts';

const retryAfterSeconds = 1;
const timeouts = new Set<FailureCause>([
  'upstream_timeout_connect',
  'upstream_timeout_first_byte',
  'upstream_timeout_total',
]);

/** The answer in the upstream's place. What it was exactly is for the operator; a client learns no more than it needs. */
export function failureAnswer(cause: FailureCause, dialled: boolean, requestId: string): OwnAnswer {
  if (cause === 'request_not_forwardable')
    return problemAnswer(400, 'invalid_request', 'The request cannot be forwarded.', requestId);
  if (cause === 'client_body_broke_off')
    return problemAnswer(400, 'invalid_request', 'The body ended before it was complete.', requestId);
  if (cause === 'client_trailer_too_large')
    return problemAnswer(431, 'headers_too_large', 'The trailer of the request is too large.', requestId);
  if (cause === 'client_body_too_large') {
    const { status, code, detail } = requestRefusals.body_too_large;
    return problemAnswer(status, code, detail, requestId);
  }
  if (cause === 'upstream_busy') {
    const fields = ['retry-after', String(retryAfterSeconds)];
    const detail = 'The upstream has no room for more requests.';
    return problemAnswer(503, 'upstream_busy', detail, requestId, fields);
  }
  if (cause === 'upstream_unhealthy') {
    const fields = ['retry-after', String(retryAfterSeconds)];
    return problemAnswer(503, 'upstream_unhealthy', 'No upstream can take the request.', requestId, fields);
  }
  if (cause === 'edge_failed')
    return problemAnswer(500, 'internal', 'Something unexpected failed.', requestId);
  if (timeouts.has(cause))
    return problemAnswer(504, 'upstream_timeout', 'The upstream did not answer in time.', requestId);
  const what = dialled ? 'broke off before it answered' : 'cannot be reached';
  return problemAnswer(502, 'upstream_unreachable', `The upstream ${what}.`, requestId);
}
