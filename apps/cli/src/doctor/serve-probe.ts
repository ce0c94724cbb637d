import type { PeerCertificate } from 'node:tls';
import { addressOfHost } from '@lockstep/contract';

const { checkServerIdentity, connect } = process.getBuiltinModule('tls');

/** What an address serves for a host. */
export interface Served {
  fingerprint256: string;
  issuer: string;
  notAfter: Date;
  /** Null where a client would trust it. */
  fault: string | null;
  stapled: boolean;
  protocol: string;
}

const longestMs = 5_000;

/** What answers has no certificate for the host. */
export class Unnamed extends Error {}

/** Makes a handshake as a browser would, with the host's name. Rejects where there is none; with `Unnamed` where the name is not known there. */
export function probe(
  address: { host: string; port: number },
  host: string,
  roots: string[],
): Promise<Served> {
  const given = addressOfHost(host);
  return new Promise((resolve, reject) => {
    let stapled = false;
    const socket = connect({
      ...address,
      // Of an address there is no name to ask for (RFC 6066, section 3).
      ...(given === null && { servername: host }),
      // Nor is it the address that is connected to, where that is a node's.
      ...(given !== null && {
        checkServerIdentity: (_: string, certificate: PeerCertificate) =>
          checkServerIdentity(given, certificate),
      }),
      // What is wrong with the certificate is what is asked for.
      rejectUnauthorized: false,
      requestOCSP: true,
      ...(roots.length > 0 && { ca: [...process.getBuiltinModule('tls').rootCertificates, ...roots] }),
    });
    socket.setTimeout(longestMs, () => socket.destroy(new Error(`no answer within ${longestMs / 1_000} s`)));
    socket.on('OCSPResponse', (response: Buffer | null) => {
      stapled = response !== null && response.length > 0;
    });
    socket.on('error', (error: NodeJS.ErrnoException & { reason?: string }) => {
      if (error.code === 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME') reject(new Unnamed());
      // Of OpenSSL's own words the reason alone is for people.
      else reject(error.reason === undefined ? error : new Error(error.reason, { cause: error }));
    });
    socket.on('secureConnect', () => {
      const certificate: PeerCertificate = socket.getPeerCertificate();
      resolve({
        fingerprint256: certificate.fingerprint256,
        issuer: String(certificate.issuer?.CN ?? certificate.issuer?.O ?? ''),
        notAfter: new Date(certificate.valid_to),
        fault: socket.authorized ? null : String(socket.authorizationError),
        stapled,
        protocol: socket.getProtocol() ?? '',
      });
      socket.end();
    });
  });
}
