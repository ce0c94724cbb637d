// @peculiar/x509 looks for its classes through this, and has to find it loaded.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } from '@peculiar/x509';
import { importKeyPair } from './web-crypto-key.ts';

export interface CsrOptions {
  /** PKCS#8 PEM. */
  keyPem: string;
  host: string;
}

/** A certificate signing request (RFC 2986) as DER. The name stands in the SAN alone: a CN holds no more than 64 characters. */
export async function createCsr({ keyPem, host }: CsrOptions): Promise<Buffer> {
  const { keys, signingAlgorithm } = await importKeyPair(keyPem);
  const request = await Pkcs10CertificateRequestGenerator.create(
    {
      name: '',
      keys,
      signingAlgorithm,
      extensions: [new SubjectAlternativeNameExtension([{ type: 'dns', value: host }])],
    },
    webcrypto as Crypto,
  );
  return Buffer.from(request.rawData);
}
