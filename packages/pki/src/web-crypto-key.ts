import { createPrivateKey, createPublicKey, webcrypto } from 'node:crypto';

export const ecdsaP256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** The pair of a PKCS#8 PEM P-256 key, as WebCrypto takes it. */
export async function importKeyPair(keyPem: string): Promise<webcrypto.CryptoKeyPair> {
  const privateKey = createPrivateKey(keyPem);
  const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' });
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  const { subtle } = webcrypto;
  return {
    privateKey: await subtle.importKey('pkcs8', pkcs8, ecdsaP256, false, ['sign']),
    publicKey: await subtle.importKey('spki', spki, ecdsaP256, true, ['verify']),
  };
}
