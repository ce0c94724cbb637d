import { z } from 'zod';

export const ChallengeType = z.enum(['http-01', 'tls-alpn-01', 'dns-01']).meta({ id: 'ChallengeType' });
export type ChallengeType = z.infer<typeof ChallengeType>;

/**
 * What every edge answers for an order under way. The record's id is the token. For `tls-alpn-01` (RFC 8737) the certificate to
 * show comes with it, its PKCS#8 key sealed with `challenge/<id>`.
 */
export const ChallengeRecord = z.object({
  type: z.enum(['http-01', 'tls-alpn-01']),
  host: z.string(),
  token: z.string(),
  keyAuthorization: z.string(),
  certificate: z.string().optional(),
  sealedKey: z.string().optional(),
  createdAt: z.string(),
});
export type ChallengeRecord = z.infer<typeof ChallengeRecord>;
