import type { LastError, RenewalWindow } from '../api/certificate.ts';
import type { ChallengeType } from '../api/challenge.ts';
import type { RenewalReason } from '../api/renewal-reason.ts';
import { recordKind } from './kind-module.ts';
import type { SeenDns } from './seen-dns.ts';

/**
 * The steps of an order, each written down before the next begins, so that a successor resumes it:
 * idle (nothing under way; `dueAt` says when there is) → ordered (the CA has given `orderUrl`) → placed (the challenge, or
 * the TXT record to make, is committed) → validating (the CA was told) → finalising (the CSR was sent) → idle again.
 */
export type OrderStep = 'idle' | 'ordered' | 'placed' | 'validating' | 'finalising';

/** A TXT record for dns-01: at `name` (where `_acme-challenge` leads by CNAME), by the provider of issuer `issuer`. */
export interface TxtChallenge {
  name: string;
  value: string;
  since: string;
}

/** How often in a row one issuer failed this certificate for a reason of its own, and until when it is passed over. */
export interface Setback {
  failures: number;
  until: string;
}

/** How one managed certificate comes to be: the record has the certificate's id. */
export interface OrderRecord {
  host: string;
  step: OrderStep;
  /** The issuer of the attempt under way; null before the first, and while none is. */
  issuer: string | null;
  /** The ACME directory where the order was made: its URL may be at any other host. */
  directory: string | null;
  orderUrl: string | null;
  finalizeUrl: string | null;
  challengeUrl: string | null;
  challengeType: ChallengeType | null;
  /** The id of the challenge record that edges answer. */
  challengeId: string | null;
  txt: TxtChallenge | null;
  /** The new PKCS#8 PEM key, sealed with `order/<id>` as its additional data, before the CSR is sent. */
  sealedKey: string | null;
  /** When the attempt now under way was begun, and when its present order at a CA. */
  beganAt: string | null;
  orderedAt: string | null;
  /** Temporary failures of the CA in a row within the order under way. */
  stumbles: number;
  /** Attempts in all. */
  attempts: number;
  /** Attempts in a row that failed. */
  failures: number;
  /** Of these, those in a row in which the CA could not validate the name. */
  unproven: number;
  setbacks: Record<string, Setback>;
  lastError: LastError | null;
  createdAt: string;
  /** When the coordinator has to look at this next; null: never by itself. The store's `dueAt` is the same moment. */
  dueAt: string | null;
  /** Its place in the queue of first attempts, as `OrderQueue` gives it; null: it has begun, or goes by its date alone. */
  place: number | null;
  /** The issuer that it is going to ask first, as far as was known when it got its place. */
  asks: string | null;
  /** Until when somebody waits for the route to be live; null: nobody does. */
  waitedUntil: string | null;
  /** Set when no route names the host any more: the certificate goes at `dueAt`. */
  unusedSince: string | null;
  /** Why the certificate is obtained again, when there is one already and its turn has come. */
  renewal: RenewalReason | null;
  /** When the certificate is to be renewed, whatever `dueAt` is for; null without a certificate. */
  renewAt: string | null;
  /** What the CA suggested last (RFC 9773), and when it is asked again. */
  ari: { window: RenewalWindow | null; checkAt: string } | null;
  /** Set while the names do not lead here, or a CAA record forbids every issuer. */
  waitingForDns: { since: string; checks: number; detail: string } | null;
  /** What the last look found; null before the first. */
  seenDns: SeenDns | null;
  /** The type of challenge that worked last for this host. */
  workedBefore: ChallengeType | null;
  /** Of a certificate that came by dns-persist-01: when its record is looked at again, and what was told of it last. */
  persist: { lookAt: string; told: string | null } | null;
  /** Obtained because a handshake asked for the name; no route has to name it. */
  onDemand: boolean;
}

/** Version 1 had fewer fields: what it lacks is as in an order that never had them. */
export const order = recordKind<OrderRecord>()({
  kind: 'order',
  audience: 'control',
  version: 2,
  secret: { sealedKey: 'control' },
  // That it ended well is told by its certificate; of a row of failures the first alone is news.
  journal: (after) => after?.step === 'idle' && after.failures === 1 && after.lastError !== null,
  upgrade(value) {
    const { host, createdAt, dueAt } = value as unknown as OrderRecord;
    return { ...idleOrder(host, createdAt, dueAt), ...value };
  },
});

/** An order with nothing under way and nothing behind it, due at `dueAt` (ISO 8601; null: never by itself). */
export function idleOrder(host: string, createdAt: string, dueAt: string | null): OrderRecord {
  return {
    host,
    ...nothingUnderWay,
    attempts: 0,
    failures: 0,
    unproven: 0,
    setbacks: {},
    lastError: null,
    createdAt,
    dueAt,
    place: null,
    asks: null,
    waitedUntil: null,
    unusedSince: null,
    renewal: null,
    renewAt: null,
    ari: null,
    waitingForDns: null,
    seenDns: null,
    workedBefore: null,
    persist: null,
    onDemand: false,
  };
}

/** The fields of an attempt, as they are between attempts. */
export const nothingUnderWay = {
  step: 'idle',
  issuer: null,
  directory: null,
  orderUrl: null,
  finalizeUrl: null,
  challengeUrl: null,
  challengeType: null,
  challengeId: null,
  txt: null,
  sealedKey: null,
  beganAt: null,
  orderedAt: null,
  stumbles: 0,
} as const satisfies Partial<OrderRecord>;

/**
 * The queues of due orders, by urgency: a lower one is served first, and none waits for the ones after it. `waited`: first attempts that
 * somebody waits for; `first`: all others; `pressing`: those that have begun or had their turn, and renewals that cannot wait.
 */
export const orderLanes = {
  waited: 0,
  first: 1,
  pressing: 2,
  renewal: 3,
  retry: 4,
  dns: 5,
  upkeep: 6,
} as const;
export type OrderLane = keyof typeof orderLanes;

/** Lanes in which orders go by their place, not by a date. */
export const placedLanes: readonly OrderLane[] = ['waited', 'first'];
