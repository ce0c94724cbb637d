import { generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import type { KeyType } from '@lockstep/contract';

const generate = promisify(generateKeyPair);

/** A new private key, as PKCS#8 PEM. */
export async function generateKeyPem(type: KeyType = 'ecdsa-p256'): Promise<string> {
  const { privateKey } = await generateFor(type);
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function generateFor(type: KeyType) {
  switch (type) {
    case 'ecdsa-p256':
      return generate('ec', { namedCurve: 'P-256' });
    case 'ecdsa-p384':
      return generate('ec', { namedCurve: 'P-384' });
    case 'rsa-2048':
      return generate('rsa', { modulusLength: 2048 });
  }
}
