import { z } from 'zod';

/** States of a route, and of a certificate. `failed`: the last attempt failed, and the next has a date. */
export const State = z
  .enum(['pending', 'waiting_for_dns', 'issuing', 'deploying', 'live', 'failed'])
  .meta({ id: 'State' });
export type State = z.infer<typeof State>;

export const LastError = z
  .object({
    detail: z.string().describe('What went wrong, in a sentence for an operator'),
    issuer: z.string().nullable(),
    step: z.string().nullable().describe('The step of the order that failed'),
    type: z.string().nullable().describe('The type of the CA’s problem document (RFC 8555, section 6.7)'),
    at: z.string(),
  })
  .meta({ id: 'LastError' });
export type LastError = z.infer<typeof LastError>;

export const CertificateStatus = z
  .object({
    id: z.string(),
    host: z.string(),
    state: State,
    notAfter: z.string().nullable(),
    lastError: LastError.nullable(),
    nextAttemptAt: z.string().nullable(),
  })
  .meta({ id: 'CertificateStatus' });
export type CertificateStatus = z.infer<typeof CertificateStatus>;

export const Certificate = CertificateStatus.extend({
  issuer: z.string().nullable(),
  serialNumber: z.string().nullable(),
  fingerprint256: z.string().nullable(),
  notBefore: z.string().nullable(),
  renewAt: z.string().nullable(),
  revision: z.int().nullable(),
  chain: z.string().nullable().describe('PEM, leaf first'),
}).meta({ id: 'Certificate' });
export type Certificate = z.infer<typeof Certificate>;

/**
 * The served material of one certificate, as the store keeps it and edges receive it. `sealedKey` is the PKCS#8
 * PEM key, sealed with `certificate/<id>` as its additional data.
 */
export const CertificateRecord = z.object({
  host: z.string(),
  issuer: z.string(),
  chain: z.string(),
  sealedKey: z.string(),
  serialNumber: z.string(),
  fingerprint256: z.string(),
  notBefore: z.string(),
  notAfter: z.string(),
  issuedAt: z.string(),
});
export type CertificateRecord = z.infer<typeof CertificateRecord>;
