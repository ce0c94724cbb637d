import { createPrivateKey, createPublicKey, type KeyObject, webcrypto } from 'node:crypto';

const { subtle } = webcrypto;

const ecdsaCurves: Record<string, { namedCurve: string; hash: string }> = {
  prime256v1: { namedCurve: 'P-256', hash: 'SHA-256' },
  secp384r1: { namedCurve: 'P-384', hash: 'SHA-384' },
};

/** How a key signs, as WebCrypto names it. */
export type SigningAlgorithm =
  | { name: 'ECDSA'; namedCurve: string; hash: string }
  | { name: 'RSASSA-PKCS1-v1_5'; hash: string };

/** The pair of a PKCS#8 PEM key, as WebCrypto takes it, and how it signs. */
export async function importKeyPair(
  keyPem: string,
): Promise<{ keys: webcrypto.CryptoKeyPair; signingAlgorithm: SigningAlgorithm }> {
  const key = createPrivateKey(keyPem);
  const signingAlgorithm = signingAlgorithmOf(key);
  const pkcs8 = key.export({ type: 'pkcs8', format: 'der' });
  const privateKey = await subtle.importKey('pkcs8', pkcs8, signingAlgorithm, false, ['sign']);
  return { keys: { privateKey, publicKey: await importPublicKey(keyPem) }, signingAlgorithm };
}

/** The public half of a PKCS#8 PEM key. */
export async function importPublicKey(keyPem: string): Promise<webcrypto.CryptoKey> {
  const key = createPublicKey(keyPem);
  const spki = key.export({ type: 'spki', format: 'der' });
  return subtle.importKey('spki', spki, signingAlgorithmOf(key), true, ['verify']);
}

function signingAlgorithmOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): SigningAlgorithm {
  if (asymmetricKeyType === 'rsa') return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  const curve = ecdsaCurves[asymmetricKeyDetails?.namedCurve ?? ''];
  if (curve === undefined) throw new TypeError('a key is RSA, or ECDSA on P-256 or P-384');
  return { name: 'ECDSA', ...curve };
}
