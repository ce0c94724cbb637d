import { type ClientHttp2Session, connect, type SecureClientSessionOptions } from 'node:http2';

/** An HTTP/2 session with an edge, verified against the root. Whoever opens it ends it. */
export function connectEdgeH2(
  { httpsPort, root }: { httpsPort: number; root: string },
  host: string,
): ClientHttp2Session {
  return connect(`https://${host}:${httpsPort}`, {
    ca: root,
    servername: host,
    lookup: (_name: string, _options: unknown, callback: (...args: unknown[]) => void) =>
      callback(null, [{ address: '127.0.0.1', family: 4 }]),
  } as SecureClientSessionOptions);
}
