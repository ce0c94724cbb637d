// @peculiar/x509 looks for its classes through this, and has to find it loaded.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  type Extension,
  type JsonGeneralNames,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { generateKeyPem } from '../../src/certificates/key-pair.ts';
import { createSerialNumber } from '../../src/certificates/serial-number.ts';
import { importKeyPair, importPublicKey } from '../../src/certificates/web-crypto-key.ts';

export interface Ca {
  name: string;
  keyPem: string;
  /** By itself, or by its parent. */
  pem: string;
}

const dayMs = 86_400_000;

export interface TreeOptions {
  name: string;
  /** None: it signs itself. */
  issuer?: Ca | null;
  keyPem?: string;
  now: number;
}

export async function createCa({ name, issuer = null, keyPem, now }: TreeOptions): Promise<Ca> {
  const key = keyPem ?? (await generateKeyPem());
  const extensions = [new BasicConstraintsExtension(true, undefined, true)];
  return { name, keyPem: key, pem: await sign({ name, issuer, keyPem: key, now, extensions }) };
}

export interface LeafOptions extends TreeOptions {
  names?: JsonGeneralNames;
  usage?: string;
  ca?: boolean;
}

export async function createLeaf({
  names = [{ type: 'dns', value: 'shop.example.com' }],
  usage,
  ca = false,
  ...options
}: LeafOptions): Promise<{ pem: string; keyPem: string }> {
  const keyPem = options.keyPem ?? (await generateKeyPem());
  const extensions = [
    new BasicConstraintsExtension(ca, undefined, true),
    ...(names.length > 0 ? [new SubjectAlternativeNameExtension(names)] : []),
    ...(usage === undefined ? [] : [new ExtendedKeyUsageExtension([usage])]),
  ];
  return { pem: await sign({ ...options, keyPem, extensions }), keyPem };
}

async function sign({
  name,
  issuer,
  keyPem,
  now,
  extensions,
}: TreeOptions & { keyPem: string; extensions: Extension[] }): Promise<string> {
  const { keys, signingAlgorithm } = await importKeyPair(issuer?.keyPem ?? keyPem);
  const certificate = await X509CertificateGenerator.create(
    {
      serialNumber: createSerialNumber(),
      subject: `CN=${name}`,
      issuer: `CN=${issuer?.name ?? name}`,
      notBefore: new Date(now - dayMs),
      notAfter: new Date(now + 90 * dayMs),
      signingKey: keys.privateKey,
      signingAlgorithm,
      publicKey: await importPublicKey(keyPem),
      extensions,
    },
    webcrypto as Crypto,
  );
  return `${certificate.toString('pem')}\n`;
}
