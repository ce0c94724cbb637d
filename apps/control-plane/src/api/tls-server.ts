import type { RequestListener, Server } from 'node:http';
import type { TlsSource } from '../startup/tls-files.ts';

/** To be through with a handshake. */
const handshakeTimeoutMs = 10_000;

export interface TlsServerOptions {
  maxHeaderSize: number;
  requestTimeoutMs: number;
  keepAliveTimeoutMs: number;
}

/** A server of HTTP/1.1 over TLS, with what is in force at the source for each new connection. */
export function createTlsServer(
  source: TlsSource,
  { maxHeaderSize, requestTimeoutMs, keepAliveTimeoutMs }: TlsServerOptions,
  listener: RequestListener,
): Server {
  const { createServer } = process.getBuiltinModule('node:https');
  const server = createServer(
    {
      ...source.current(),
      maxHeaderSize,
      requireHostHeader: false,
      handshakeTimeout: handshakeTimeoutMs,
      requestCert: source.clientCertificates,
      rejectUnauthorized: source.clientCertificates,
    },
    listener,
  );
  server.requestTimeout = requestTimeoutMs;
  server.keepAliveTimeout = keepAliveTimeoutMs;
  source.watch((material) => server.setSecureContext(material));
  return server as unknown as Server;
}
