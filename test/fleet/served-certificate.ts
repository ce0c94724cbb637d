import type { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:tls';

/** The leaf that an edge serves for a host, whoever issued it. */
export async function servedCertificate(port: number, host: string): Promise<X509Certificate> {
  const socket = connect({ port, host: '127.0.0.1', servername: host, rejectUnauthorized: false });
  try {
    await once(socket, 'secureConnect');
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) throw new Error(`no certificate is served for ${host}`);
    return certificate;
  } finally {
    socket.destroy();
  }
}
