import { z } from 'zod';
import { DnsRequirement, LastError, RenewalWindow } from '../api/certificate.ts';
import { ChallengeType } from '../api/challenge.ts';
import { RenewalReason } from '../api/renewal-reason.ts';

/**
 * The steps of an order, each written down before the next begins, so that a successor resumes it:
 * idle (nothing under way; `dueAt` says when there is) → ordered (the CA has given `orderUrl`) → placed (the challenge, or
 * the TXT record to make, is committed) → validating (the CA was told) → finalising (the CSR was sent) → idle again.
 */
export const OrderStep = z.enum(['idle', 'ordered', 'placed', 'validating', 'finalising']);
export type OrderStep = z.infer<typeof OrderStep>;

/** A TXT record for dns-01: at `name` (where `_acme-challenge` leads by CNAME), by the provider of issuer `issuer`. */
export const TxtChallenge = z.object({ name: z.string(), value: z.string(), since: z.string() });
export type TxtChallenge = z.infer<typeof TxtChallenge>;

/** How often in a row one issuer failed this certificate for a reason of its own, and until when it is passed over. */
export const Setback = z.object({ failures: z.int(), until: z.string() });
export type Setback = z.infer<typeof Setback>;

/** How one managed certificate comes to be: the record has the certificate's id. Edges do not receive it. */
export const OrderRecord = z.object({
  host: z.string(),
  step: OrderStep,
  /** The issuer of the attempt under way; null before the first, and while none is. */
  issuer: z.string().nullable(),
  /** The ACME directory where the order was made: its URL may be at any other host. */
  directory: z.string().nullable(),
  orderUrl: z.string().nullable(),
  finalizeUrl: z.string().nullable(),
  challengeUrl: z.string().nullable(),
  challengeType: ChallengeType.nullable(),
  /** The id of the challenge record that edges answer. */
  challengeId: z.string().nullable(),
  txt: TxtChallenge.nullable(),
  /** The new PKCS#8 PEM key, sealed with `order/<id>` as its additional data, before the CSR is sent. */
  sealedKey: z.string().nullable(),
  /** When the attempt now under way was begun, and when its present order at a CA. */
  beganAt: z.string().nullable(),
  orderedAt: z.string().nullable(),
  /** Temporary failures of the CA in a row within the order under way. */
  stumbles: z.int().nonnegative(),
  /** Attempts in all. */
  attempts: z.int().nonnegative(),
  /** Attempts in a row that failed. */
  failures: z.int().nonnegative(),
  /** Of these, those in a row in which the CA could not validate the name. */
  unproven: z.int().nonnegative(),
  setbacks: z.record(z.string(), Setback),
  lastError: LastError.nullable(),
  createdAt: z.string(),
  /** When the coordinator has to look at this next; null: never by itself. The store's `dueAt` is the same moment. */
  dueAt: z.string().nullable(),
  /** Its place in the queue of first attempts, as `OrderQueue` gives it; null: it has begun, or goes by its date alone. */
  place: z.number().nullable(),
  /** The issuer that it is going to ask first, as far as was known when it got its place. */
  asks: z.string().nullable(),
  /** Until when somebody waits for the route to be live; null: nobody does. */
  waitedUntil: z.string().nullable(),
  /** Set when no route names the host any more: the certificate goes at `dueAt`. */
  unusedSince: z.string().nullable(),
  /** Why the certificate is obtained again, when there is one already and its turn has come. */
  renewal: RenewalReason.nullable(),
  /** When the certificate is to be renewed, whatever `dueAt` is for; null without a certificate. */
  renewAt: z.string().nullable(),
  /** What the CA suggested last (RFC 9773), and when it is asked again. */
  ari: z.object({ window: RenewalWindow.nullable(), checkAt: z.string() }).nullable(),
  /** Set while the names do not lead here, or a CAA record forbids every issuer. */
  waitingForDns: z
    .object({ since: z.string(), checks: z.int(), detail: z.string(), requirements: z.array(DnsRequirement) })
    .nullable(),
  /** The type of challenge that worked last for this host. */
  workedBefore: ChallengeType.nullable(),
  /** Obtained because a handshake asked for the name; no route has to name it. */
  onDemand: z.boolean(),
});
export type OrderRecord = z.infer<typeof OrderRecord>;
