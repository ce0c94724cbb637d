import { generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import type { KeyType } from '@lockstep/contract';

const generate = promisify(generateKeyPair);

/** A new private key as PKCS#8 PEM, and its public half as DER (SubjectPublicKeyInfo). Made in a thread of its own. */
export async function createKeyPair(
  type: KeyType = 'ecdsa-p256',
): Promise<{ keyPem: string; publicKey: Buffer }> {
  const { privateKey, publicKey } = await generateFor(type);
  return { keyPem: privateKey, publicKey };
}

/** A new private key, as PKCS#8 PEM. */
export async function generateKeyPem(type: KeyType = 'ecdsa-p256'): Promise<string> {
  return (await createKeyPair(type)).keyPem;
}

const encodings = {
  publicKeyEncoding: { type: 'spki', format: 'der' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
} as const;

function generateFor(type: KeyType) {
  switch (type) {
    case 'ecdsa-p256':
      return generate('ec', { namedCurve: 'P-256', ...encodings });
    case 'ecdsa-p384':
      return generate('ec', { namedCurve: 'P-384', ...encodings });
    case 'rsa-2048':
      return generate('rsa', { modulusLength: 2048, ...encodings });
  }
}
