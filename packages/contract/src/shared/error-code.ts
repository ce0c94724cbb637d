/** Every stable error code of Lockstep: what it is in HTTP (RFC 9110, section 15), and what it means. `docs/errors.md` is rendered from it. */
export const errorCodes = {
  invalid_request: {
    status: 400,
    title: 'A field, parameter or header is not acceptable; `errors` points at each.',
  },
  unauthorized: { status: 401, title: 'The bearer token is missing, wrong, expired or revoked.' },
  forbidden: { status: 403, title: 'The token is not for this; `detail` names what it lacks.' },
  not_authenticated: { status: 401, title: 'The route wants a name and a password, and right ones.' },
  client_certificate_refused: {
    status: 403,
    title: 'The route is for clients with a certificate that it trusts.',
  },
  access_denied: { status: 403, title: 'The route is not for clients with this address.' },
  not_found: { status: 404, title: 'Nothing has this id or address.' },
  method_not_allowed: {
    status: 405,
    title: 'The address does not take this method; `Allow` lists those it takes.',
  },
  not_acceptable: {
    status: 406,
    title: 'Nothing here is of a type that `Accept` takes; `detail` says what there is.',
  },
  request_timeout: { status: 408, title: 'The request did not arrive in time.' },
  host_taken: { status: 409, title: 'Another route already serves this host and path.' },
  id_taken: { status: 409, title: 'Another route already has this id.' },
  in_use: { status: 409, title: 'Something else still names the record; `detail` says what.' },
  wrong_state: {
    status: 409,
    title: 'The record is not in a state, or not of a sort, that this can be done to.',
  },
  revision_conflict: { status: 409, title: 'The record changed since it was read.' },
  precondition_failed: {
    status: 412,
    title: 'The resource is not at a revision that `If-Match` or `If-None-Match` asks for.',
  },
  events_gone: {
    status: 410,
    title: 'Events after the one that was named are no longer kept; `detail` says where to go on.',
  },
  payload_too_large: { status: 413, title: 'The body is larger than is taken.' },
  unsupported_media_type: { status: 415, title: 'The body is not of a type this address takes.' },
  uri_too_long: { status: 414, title: 'The address is longer than is read.' },
  expectation_failed: { status: 417, title: 'The `Expect` of the request is none that can be met.' },
  misdirected: { status: 421, title: 'The `Host` of the request is no name of this server.' },
  idempotency_key_reused: {
    status: 422,
    title: 'The `Idempotency-Key` was used for another request before.',
  },
  rate_limited: {
    status: 429,
    title: 'More requests than are taken for now; try again after `Retry-After`.',
  },
  headers_too_large: { status: 431, title: 'The fields of the request are larger than is read.' },
  not_implemented: {
    status: 501,
    title: 'The method or the transfer coding of the request is not known here.',
  },
  version_not_supported: { status: 505, title: 'This version of HTTP is not spoken here.' },
  loop_detected: { status: 508, title: 'The request has passed the same edges too often.' },
  commit_too_large: { status: 413, title: 'More records or bytes than one commit may carry.' },
  lease_lost: { status: 503, title: 'The lease under which this was written has gone to another.' },
  node_id_taken: { status: 409, title: 'Another live process runs under this node id.' },
  overloaded: {
    status: 503,
    title: 'More is asked at once than this process bears; try again after `Retry-After`.',
  },
  store_unavailable: { status: 503, title: 'The store cannot be reached.' },
  store_lost: { status: 503, title: 'The store no longer holds the history that was there before.' },
  wrong_secret_key: {
    status: 500,
    title: 'A sealed value was made with another secret key, or was altered.',
  },
  bad_certificate: { status: 500, title: 'A certificate, its chain or its key does not fit.' },
  issuer_failed: { status: 502, title: 'The issuer refused or failed.' },
  bad_configuration: { status: 500, title: 'A setting of this process is missing or not usable.' },
  no_route: { status: 404, title: 'No route serves this host and path.' },
  upstream_unreachable: {
    status: 502,
    title: 'The upstream cannot be reached, or broke off before it answered.',
  },
  upstream_busy: { status: 503, title: 'The upstream has no room for more requests.' },
  upstream_unhealthy: { status: 503, title: 'No upstream of the route is healthy.' },
  node_silent: { status: 504, title: 'The node did not answer in time.' },
  upstream_timeout: { status: 504, title: 'The upstream did not answer in time.' },
  maintenance: { status: 503, title: 'The route is under maintenance.' },
  https_required: { status: 403, title: 'The route is not served over plain HTTP.' },
  shutting_down: { status: 503, title: 'This process is about to stop.' },
  internal: { status: 500, title: 'Something unexpected failed; the log says what.' },
} as const satisfies Record<string, { status: number; title: string }>;

export type ErrorCode = keyof typeof errorCodes;
