import { once } from 'node:events';
import { type ConnectionOptions, connect, type SecureVersion, type TLSSocket } from 'node:tls';

export const tlsVersions = ['TLSv1.2', 'TLSv1.3'] as const satisfies SecureVersion[];

/** A connection whose handshake is through; rejects with the handshake's error. */
export async function connectTls(port: number, options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port, ...options });
  await once(socket, 'secureConnect');
  return socket;
}

/** The fingerprint of the certificate that a client is shown. */
export async function fingerprintShown(port: number, options: ConnectionOptions): Promise<string> {
  const socket = await connectTls(port, options);
  const { fingerprint256 } = socket.getPeerX509Certificate()!;
  socket.destroy();
  return fingerprint256;
}
