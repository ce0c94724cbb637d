/**
 * Why a request got an answer that the edge made itself, or half an answer. A closed list: the label of a metric and the `cause` of
 * a log line, never part of what a client is told. `docs/upstreams.md` lists the same table.
 */
export const failureCauses = {
  request_not_forwardable: 'The request has a part that cannot be written to an upstream (400).',
  client_body_broke_off: 'The client ended its body before its length.',
  client_trailer_too_large:
    'The trailer of the request is over `limits.headBytes` or `limits.headFields` (431).',
  client_body_too_large: 'The body of the request is over `limits.bodyBytes` of the route (413).',
  upstream_name_not_found: 'The name of the upstream has no address.',
  upstream_name_unresolved: 'The name of the upstream could not be looked up.',
  upstream_denied: 'The upstream stands at an address where no upstream may lead.',
  upstream_refused: 'Nothing listens at the address.',
  upstream_unreachable: 'No way leads to the address.',
  upstream_timeout_connect: 'No connection within `timeouts.connectMs`.',
  upstream_tls_failed: 'The TLS handshake failed.',
  upstream_certificate_untrusted: 'Its certificate is from no authority that the edge trusts.',
  upstream_certificate_expired: 'Its certificate has expired, or is not valid yet.',
  upstream_certificate_name: 'Its certificate is for another name.',
  upstream_client_certificate: 'The edge does not hold the certificate that it is to show, or cannot use it.',
  upstream_busy: 'No connection became free (503).',
  upstream_unhealthy: 'No upstream of the route is healthy, and `health.noneHealthy` is `refuse` (503).',
  upstream_reset: 'The connection was reset.',
  upstream_closed: 'The connection was closed before the answer was complete.',
  upstream_timeout_first_byte: 'No final head within `timeouts.firstByteMs`.',
  upstream_timeout_body: 'No more of the body within `timeouts.upstreamIdleMs`.',
  upstream_timeout_total: 'No complete answer within `timeouts.totalMs` of the route.',
  upstream_head_too_large: 'The head of the answer is over `limits.upstreamHeadBytes`.',
  upstream_head_invalid: 'The head of the answer is no HTTP/1.1.',
  upstream_http2_invalid: 'The upstream does not speak HTTP/2, or breaks its rules.',
  upstream_body_invalid: 'The body of the answer breaks its own framing.',
  upstream_coding_unsupported: 'The answer has a transfer coding beside chunked.',
  upstream_upgrade_unasked: 'The upstream switched to a protocol that nobody had asked for.',
  edge_out_of_descriptors: 'The edge has no file descriptor left.',
  edge_failed: 'Something unexpected failed in the edge; the log says what.',
} as const;

export type FailureCause = keyof typeof failureCauses;

/** An exchange that the edge itself gives up, and why. */
export class ExchangeError extends Error {
  readonly failure: FailureCause;

  constructor(failure: FailureCause, detail: string = failureCauses[failure]) {
    super(detail);
    this.failure = failure;
  }
}

const byCode: Record<string, FailureCause> = {
  UND_ERR_INVALID_ARG: 'request_not_forwardable',
  UND_ERR_NOT_SUPPORTED: 'request_not_forwardable',
  UND_ERR_REQ_CONTENT_LENGTH_MISMATCH: 'client_body_broke_off',
  ENOTFOUND: 'upstream_name_not_found',
  ENODATA: 'upstream_name_not_found',
  ADDRESS_DENIED: 'upstream_denied',
  ECONNREFUSED: 'upstream_refused',
  ENOENT: 'upstream_refused',
  ENOTSOCK: 'upstream_refused',
  EHOSTUNREACH: 'upstream_unreachable',
  ENETUNREACH: 'upstream_unreachable',
  EHOSTDOWN: 'upstream_unreachable',
  ENETDOWN: 'upstream_unreachable',
  EADDRNOTAVAIL: 'upstream_unreachable',
  EACCES: 'upstream_unreachable',
  EPERM: 'upstream_unreachable',
  EINVAL: 'upstream_unreachable',
  UND_ERR_CONNECT_TIMEOUT: 'upstream_timeout_connect',
  ETIMEDOUT: 'upstream_timeout_connect',
  EPROTO: 'upstream_tls_failed',
  CERT_HAS_EXPIRED: 'upstream_certificate_expired',
  CERT_NOT_YET_VALID: 'upstream_certificate_expired',
  ERR_TLS_CERT_ALTNAME_INVALID: 'upstream_certificate_name',
  HOSTNAME_MISMATCH: 'upstream_certificate_name',
  ECONNRESET: 'upstream_reset',
  UPSTREAM_RESET: 'upstream_reset',
  ECONNABORTED: 'upstream_reset',
  EPIPE: 'upstream_reset',
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: 'upstream_http2_invalid',
  ERR_HTTP2_ERROR: 'upstream_http2_invalid',
  ERR_HTTP2_SESSION_ERROR: 'upstream_reset',
  ERR_HTTP2_STREAM_ERROR: 'upstream_reset',
  ERR_HTTP2_GOAWAY_SESSION: 'upstream_closed',
  ERR_HTTP2_INVALID_SESSION: 'upstream_closed',
  ERR_HTTP2_STREAM_CANCEL: 'upstream_closed',
  ERR_HTTP2_INVALID_STREAM: 'upstream_closed',
  ERR_HTTP2_INVALID_CONNECTION_HEADERS: 'request_not_forwardable',
  UND_ERR_HEADERS_TIMEOUT: 'upstream_timeout_first_byte',
  UND_ERR_BODY_TIMEOUT: 'upstream_timeout_body',
  UND_ERR_HEADERS_OVERFLOW: 'upstream_head_too_large',
  EMFILE: 'edge_out_of_descriptors',
  ENFILE: 'edge_out_of_descriptors',
};

/** OpenSSL's words for a chain that leads to no trusted root. */
const untrusted =
  /^(?:DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|CERT_|INVALID_(?:CA|PURPOSE)|PATH_LENGTH_EXCEEDED|ERROR_IN_CERT_|CRL_)/;

/** The cause of an error that undici or Node gave; `inBody`: the head of the answer had come. */
export function failureCauseOf(error: unknown, inBody: boolean): FailureCause {
  if (error instanceof ExchangeError) return error.failure;
  if (!(error instanceof Error)) return 'edge_failed';
  const code = String((error as { code?: unknown }).code ?? '');
  const known = Object.hasOwn(byCode, code) ? byCode[code] : undefined;
  if (known !== undefined) return known;
  if (code.startsWith('EAI_')) return 'upstream_name_unresolved';
  if (code === 'UND_ERR_SOCKET') {
    if (error.message === 'bad upgrade') return 'upstream_upgrade_unasked';
    return error.message === 'bad response' ? 'upstream_head_invalid' : 'upstream_closed';
  }
  // Of a parser's error in a head that had named a length undici says only that the body was not that long.
  if (code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH')
    return inBody ? 'upstream_closed' : 'upstream_head_invalid';
  // Of the parser's errors undici keeps the words only.
  if (error.name === 'HTTPParserError') {
    if (/EOF/.test(error.message)) return 'upstream_closed';
    return inBody ? 'upstream_body_invalid' : 'upstream_head_invalid';
  }
  if (untrusted.test(code)) return 'upstream_certificate_untrusted';
  if (code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_')) return 'upstream_tls_failed';
  return 'edge_failed';
}
