// @peculiar/x509 looks for its classes through this, and has to find it loaded.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } from '@peculiar/x509';
import { ecdsaP256, importKeyPair } from './web-crypto-key.ts';

export interface CsrOptions {
  /** PKCS#8 PEM, P-256. */
  keyPem: string;
  host: string;
}

/** A certificate signing request (RFC 2986) as DER. The name stands in the SAN alone: a CN holds no more than 64 characters. */
export async function createCsr({ keyPem, host }: CsrOptions): Promise<Buffer> {
  const request = await Pkcs10CertificateRequestGenerator.create(
    {
      name: '',
      keys: await importKeyPair(keyPem),
      signingAlgorithm: ecdsaP256,
      extensions: [new SubjectAlternativeNameExtension([{ type: 'dns', value: host }])],
    },
    webcrypto as Crypto,
  );
  return Buffer.from(request.rawData);
}
