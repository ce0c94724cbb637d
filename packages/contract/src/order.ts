import { z } from 'zod';
import { LastError } from './certificate.ts';

/**
 * The steps of an order, each written down before the next begins, so that a successor resumes it:
 * idle (nothing under way; `dueAt` says when there is) → ordered (the CA has given `orderUrl`) → placed (the challenge is
 * committed) → validating (the CA was told) → finalising (the CSR was sent) → idle again.
 */
export const OrderStep = z.enum(['idle', 'ordered', 'placed', 'validating', 'finalising']);
export type OrderStep = z.infer<typeof OrderStep>;

/** How one managed certificate comes to be: the record has the certificate's id. Edges do not receive it. */
export const OrderRecord = z.object({
  host: z.string(),
  step: OrderStep,
  issuer: z.string().nullable(),
  orderUrl: z.string().nullable(),
  finalizeUrl: z.string().nullable(),
  challengeUrl: z.string().nullable(),
  /** The id of the challenge record that edges answer. */
  challengeId: z.string().nullable(),
  /** The new PKCS#8 PEM key, sealed with `order/<id>` as its additional data, before the CSR is sent. */
  sealedKey: z.string().nullable(),
  failures: z.int().nonnegative(),
  lastError: LastError.nullable(),
  createdAt: z.string(),
  /** When the coordinator has to look at this next; null: never by itself. The store's `dueAt` is the same moment. */
  dueAt: z.string().nullable(),
  /** Set when no route names the host any more: the certificate goes at `dueAt`. */
  unusedSince: z.string().nullable(),
});
export type OrderRecord = z.infer<typeof OrderRecord>;

/** What every edge answers for an order under way. The record's id is the token for `http-01`. */
export const ChallengeRecord = z.object({
  type: z.enum(['http-01', 'tls-alpn-01']),
  host: z.string(),
  token: z.string(),
  keyAuthorization: z.string(),
  createdAt: z.string(),
});
export type ChallengeRecord = z.infer<typeof ChallengeRecord>;
