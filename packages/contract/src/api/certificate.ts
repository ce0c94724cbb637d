import { z } from 'zod';
import { Timestamp } from '../shared/timestamp.ts';
import { IssuerName } from './issuer.ts';
import { MetadataKey, metadataField, tenantField } from './labels.ts';
import { RenewalReason } from './renewal-reason.ts';
import { revocationReasons } from './revocation-reasons.ts';

/** States of a route, and of a certificate. `failed`: the last attempt failed, and the next has a date. */
export const State = z
  .enum(['pending', 'waiting_for_ownership', 'waiting_for_dns', 'issuing', 'deploying', 'live', 'failed'])
  .meta({ id: 'State' });
export type State = z.infer<typeof State>;

export const LastError = z
  .object({
    detail: z.string().describe('What went wrong, in a sentence for an operator'),
    issuer: z.string().nullable(),
    step: z.string().nullable().describe('The step of the order that failed'),
    type: z.string().nullable().describe('The type of the CA’s problem document (RFC 8555, section 6.7)'),
    at: Timestamp,
  })
  .meta({ id: 'LastError' });
export type LastError = z.infer<typeof LastError>;

export const CertificateStatus = z
  .object({
    id: z.string(),
    host: z.string(),
    state: State,
    notAfter: Timestamp.nullable(),
    lastError: LastError.nullable(),
    nextAttemptAt: Timestamp.nullable(),
  })
  .meta({ id: 'CertificateStatus' });
export type CertificateStatus = z.infer<typeof CertificateStatus>;

/** Renewal information of the CA (RFC 9773). */
export const RenewalWindow = z
  .object({ start: Timestamp, end: Timestamp, explanationUrl: z.string().nullable() })
  .meta({ id: 'RenewalWindow' });
export type RenewalWindow = z.infer<typeof RenewalWindow>;

export const Certificate = CertificateStatus.extend({
  origin: z.enum(['managed', 'brought']),
  names: z.array(z.string()).describe('What it is served for; none of one that edges only show to upstreams'),
  issuer: z.string().nullable(),
  serialNumber: z.string().nullable(),
  fingerprint256: z.string().nullable(),
  notBefore: Timestamp.nullable(),
  renewAt: Timestamp.nullable(),
  renewal: RenewalReason.nullable().describe(
    'Why it is being obtained again, until the new one has come: its turn (`due`), shortly before it expires, revoked, or `asked` for',
  ),
  renewalWindow: RenewalWindow.nullable().describe('What the CA suggests (RFC 9773), where it does'),
  revokedAt: Timestamp.nullable(),
  expiresSoon: z.boolean().describe('Less than a sixth of its lifetime is left, 30 days at most'),
  revision: z.int().nullable(),
  chain: z.string().nullable().describe('PEM, leaf first'),
  tenant: z.string().optional().describe('Of a brought one, where it was given'),
  metadata: z.record(z.string(), z.string()).optional().describe('Of a brought one, where it was given'),
}).meta({ id: 'Certificate' });
export type Certificate = z.infer<typeof Certificate>;

/** The body of `POST /v1/certificates`. */
export const BringCertificate = z
  .strictObject({
    chain: z.string().max(100_000).describe('PEM, leaf first, without the root'),
    key: z.string().max(20_000).describe('PEM, not encrypted; never shown again'),
    issuer: IssuerName.optional().describe(
      'The issuer that it is from: it becomes the managed certificate of each of its hosts, which Lockstep renews when its turn comes. Left out: it is served before any managed one, and its successor is yours to bring',
    ),
    tenant: tenantField.optional(),
    metadata: metadataField.optional(),
  })
  .meta({
    id: 'BringCertificate',
    examples: [
      {
        chain: '-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n',
        key: '-----BEGIN PRIVATE KEY-----\n…\n-----END PRIVATE KEY-----\n',
      },
    ],
  });
export type BringCertificate = z.infer<typeof BringCertificate>;

/** The body of `PUT /v1/certificates/{id}`: what is said of a brought one, whose chain and key never change. */
export const PutCertificate = z
  .strictObject({ tenant: tenantField.optional(), metadata: metadataField.optional() })
  .meta({
    id: 'PutCertificate',
    description: 'What is left out, or null, goes',
    examples: [{ tenant: 'acme', metadata: { plan: 'pro' } }],
  });
export type PutCertificate = z.infer<typeof PutCertificate>;

/** The body of `PATCH /v1/certificates/{id}` (RFC 7396). */
export const PatchCertificate = z
  .strictObject({
    tenant: tenantField.nullable().optional(),
    metadata: z.record(MetadataKey, z.string().nullable()).nullable().optional(),
  })
  .meta({
    id: 'PatchCertificate',
    description: 'null takes away; of `metadata` also a single key',
    examples: [{ metadata: { plan: 'pro' } }, { tenant: null }],
  });
export type PatchCertificate = z.infer<typeof PatchCertificate>;

export const RevokeCertificate = z
  .strictObject({
    reason: z.enum(Object.keys(revocationReasons) as [keyof typeof revocationReasons]).default('unspecified'),
  })
  .meta({ id: 'RevokeCertificate', examples: [{ reason: 'keyCompromise' }] });
export type RevokeCertificate = z.infer<typeof RevokeCertificate>;
