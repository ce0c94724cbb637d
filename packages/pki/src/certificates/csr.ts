import { webcrypto } from 'node:crypto';
import { x509 } from '../shared/at-first-use.ts';
import { altNameOf } from './subject-alt-name.ts';
import { importKeyPair } from './web-crypto-key.ts';

export interface CsrOptions {
  /** PKCS#8 PEM. */
  keyPem: string;
  host: string;
}

/** A certificate signing request (RFC 2986) as DER. The name stands in the SAN alone: a CN holds no more than 64 characters. */
export async function createCsr({ keyPem, host }: CsrOptions): Promise<Buffer> {
  const { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } = x509();
  const { keys, signingAlgorithm } = await importKeyPair(keyPem);
  const request = await Pkcs10CertificateRequestGenerator.create(
    {
      name: '',
      keys,
      signingAlgorithm,
      extensions: [new SubjectAlternativeNameExtension([altNameOf(host)])],
    },
    webcrypto as Crypto,
  );
  return Buffer.from(request.rawData);
}
