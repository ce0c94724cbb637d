import type { ErrorCode } from '@lockstep/contract';

export interface RequestRefusal {
  status: number;
  code: ErrorCode;
  detail: string;
}

const invalid = (detail: string): RequestRefusal => ({ status: 400, code: 'invalid_request', detail });
const notImplemented = (detail: string): RequestRefusal => ({ status: 501, code: 'not_implemented', detail });

/**
 * Why the edge answers a request itself. A closed list: the label of a metric and the `reason` of a log line. `docs/edge-requests.md`
 * lists the same.
 */
export const requestRefusals = {
  no_route: { status: 404, code: 'no_route', detail: 'No route matches this host and path.' },
  client_certificate_needed: {
    status: 403,
    code: 'client_certificate_refused',
    detail: 'This is for clients that show a certificate.',
  },
  client_certificate_untrusted: {
    status: 403,
    code: 'client_certificate_refused',
    detail: 'The certificate of the client is not one that is trusted here.',
  },
  access_denied: {
    status: 403,
    code: 'access_denied',
    detail: 'This is not for clients with this address.',
  },
  not_authenticated: {
    status: 401,
    code: 'not_authenticated',
    detail: 'A name and a password are needed, and right ones.',
  },
  passwords_busy: {
    status: 503,
    code: 'overloaded',
    detail: 'Too many passwords are being checked.',
  },
  rate_limited: { status: 429, code: 'rate_limited', detail: 'More requests came than are taken.' },
  misdirected: {
    status: 421,
    code: 'misdirected',
    detail: 'The certificate of this connection is for other hosts.',
  },
  parse_error: invalid('What was sent is not HTTP.'),
  bad_target: invalid('The target of the request is not acceptable.'),
  bad_host: invalid('The host of the request is not acceptable.'),
  bad_field: invalid('A field of the request begins or ends with a space.'),
  bad_framing: invalid('The length of the body is not clear.'),
  head_timeout: {
    status: 408,
    code: 'request_timeout',
    detail: 'The head of the request did not arrive in time.',
  },
  body_timeout: { status: 408, code: 'request_timeout', detail: 'The body of the request stopped arriving.' },
  body_too_large: {
    status: 413,
    code: 'payload_too_large',
    detail: 'The body of the request is too large.',
  },
  target_too_long: { status: 414, code: 'uri_too_long', detail: 'The target of the request is too long.' },
  head_too_large: {
    status: 431,
    code: 'headers_too_large',
    detail: 'The fields of the request are too many or too large.',
  },
  bad_expectation: {
    status: 417,
    code: 'expectation_failed',
    detail: 'Only 100-continue can be expected.',
  },
  method_not_served: {
    status: 405,
    code: 'method_not_allowed',
    detail: 'No route serves this host and path with this method.',
  },
  plain_http: {
    status: 403,
    code: 'https_required',
    detail: 'What is asked for is served over https alone.',
  },
  maintenance: {
    status: 503,
    code: 'maintenance',
    detail: 'What is asked for is under maintenance.',
  },
  trace_ends_here: {
    status: 405,
    code: 'method_not_allowed',
    detail: 'A TRACE that goes no further is not answered.',
  },
  unknown_method: notImplemented('The method of the request is not one that is forwarded.'),
  unknown_coding: notImplemented('The only transfer coding that is understood is chunked.'),
  unknown_version: {
    status: 505,
    code: 'version_not_supported',
    detail: 'This version of HTTP is not spoken here.',
  },
  loop: { status: 508, code: 'loop_detected', detail: 'The request has passed these edges too often.' },
  failed: { status: 500, code: 'internal', detail: 'Something unexpected failed.' },
} as const satisfies Record<string, RequestRefusal>;

export type RefusalReason = keyof typeof requestRefusals;

/** A refusal, with what of this request it is about. */
export interface Refused {
  reason: RefusalReason;
  detail?: string;
  /** Of the answer, as flat pairs. */
  fields?: readonly string[];
}
