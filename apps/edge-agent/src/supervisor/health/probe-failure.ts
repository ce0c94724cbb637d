/** What an upstream answered is not what a check expects. The message is told to operators. */
export class ProbeFailure extends Error {}

const byCode: Record<string, string> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was reset',
  EPIPE: 'the connection was reset',
  ETIMEDOUT: 'no connection in time',
  EHOSTUNREACH: 'no way leads to the address',
  ENETUNREACH: 'no way leads to the address',
  ENOENT: 'there is no such socket',
  EACCES: 'the socket may not be used',
  ENOTFOUND: 'the name has no address',
  ENODATA: 'the name has no address',
  ADDRESS_DENIED: 'no upstream may stand at its address',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is not trusted',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is not trusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is not trusted',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate is not trusted',
  EPROTO: 'the TLS handshake failed',
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: 'it does not speak HTTP/2',
  ERR_HTTP2_ERROR: 'it does not speak HTTP/2',
  EMFILE: 'the edge has no file descriptor left',
  ENFILE: 'the edge has no file descriptor left',
};

/** Why a check failed, in words that go on after "unhealthy since 14:02:". */
export function wordsFor(error: unknown): string {
  if (error instanceof ProbeFailure) return error.message;
  // Of a name with more than one address that all failed.
  if (error instanceof AggregateError && error.errors.length > 0) return wordsFor(error.errors[0]);
  const { code = '', message = String(error) } = error as { code?: string; message?: string };
  if (Object.hasOwn(byCode, code)) return byCode[code]!;
  if (code.startsWith('EAI_')) return 'the name could not be looked up';
  if (code.startsWith('HPE_')) return 'its answer is no HTTP/1.1';
  if (code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_')) return 'the TLS handshake failed';
  return message.slice(0, 200);
}
