import type {
  AcmeProblemDocument,
  ChallengeType,
  Limits,
  OrderRecord,
  RenewalWindow,
  StoredRecord,
} from '@lockstep/contract';
import type { CertificateFacts } from '@lockstep/pki';
import type { Change } from '@lockstep/store';

/**
 * What one step of an issuer led to.
 * - next: `order` is to be written, with `changes` in the same commit, and then the next step is due after `waitMs`.
 * - issued: the chain for the key. It is checked before anything is replaced, unless its own maker says what is in it (`facts`).
 */
export type StepResult =
  | { outcome: 'next'; order: Partial<OrderRecord>; changes?: Change[]; waitMs?: number }
  | { outcome: 'issued'; chain: string; keyPem: string; facts?: CertificateFacts };

export interface StepContext {
  signal: AbortSignal;
  /** The type of challenge that the host's route asks for. */
  challenge: ChallengeType | null;
  /** The host leads to a CDN in front of the edges. */
  proxied?: boolean;
  /** What is served now. */
  certificate: StoredRecord<'certificate'> | null;
}

/** Where certificates come from. */
export interface Issuer {
  readonly name: string;
  /** What its CA allows; null: no limits are known. */
  readonly limits: Limits | null;
  /** Its orders are made at a CA, where a lost one stays: they are made one at a time. */
  readonly asksCa: boolean;
  /** Why it cannot certify a host at all; null when it can. */
  refuses(host: string, challenge: ChallengeType | null): string | null;
  /** What CAA records call it, and how it would prove the host; no identities: CAA does not matter. Throws `IssuerFailure`. */
  caa(host: string, challenge: ChallengeType | null): Promise<CaaFacts>;
  /**
   * Whom a record of dns-persist-01 has to name where that may prove the host; null where it may not, or before an order nobody can tell.
   * Throws `IssuerFailure`.
   */
  persist(host: string, challenge: ChallengeType | null): Promise<PersistDemand | null>;
  /**
   * Takes an order one step further. A step may be repeated after a crash, so it asks the CA where the order stands rather than
   * trusting that its own last word arrived. Throws `IssuerFailure`.
   */
  advance(id: string, order: OrderRecord, context: StepContext): Promise<StepResult>;
  /** Takes back what an ended order left elsewhere (TXT records). Never throws. */
  cleanUp(order: OrderRecord): Promise<void>;
  /** When the CA suggests to renew (RFC 9773), and when to ask again; null where it does not. Throws `IssuerFailure`. */
  renewalInfo(
    chain: string,
    signal: AbortSignal,
  ): Promise<{ window: RenewalWindow; retryAfterMs: number | null } | null>;
  /** `keyPem` is the certificate's, for a CA that does not take the account's word. Throws `IssuerFailure`. */
  revoke(chain: string, reason: number, keyPem: string): Promise<void>;
  /** Its account at the CA, once there is one. */
  accountUrl(): Promise<string | null>;
  close(): void;
}

export interface CaaFacts {
  identities: string[];
  method: ChallengeType | null;
  accountUrl: string | null;
}

export interface PersistDemand {
  issuerDomains: string[];
  accountUri: string;
  /** Nothing else may prove the host. */
  alone: boolean;
}

/**
 * Why an attempt failed, by what can be done about it:
 * - unavailable: the CA does not answer, or only with errors of its own: another issuer can; this one later.
 * - limit: the CA asks to be left alone for a while.
 * - paused: the CA takes no order for the host from this account until somebody has visited `link`: another issuer can; this one tomorrow.
 * - refused: this issuer will not certify this host as things are (its policy, CAA, the account): another issuer may.
 * - hindered: what the order needs besides the CA (a DNS provider, the DNS) does not answer, or asks to be left alone: it goes on later.
 * - unproven: the name could not be validated; no issuer can until its owner repairs it.
 * - lost: the CA no longer knows the order: another has to be begun.
 */
export type FailureKind = 'unavailable' | 'limit' | 'paused' | 'refused' | 'hindered' | 'unproven' | 'lost';

export interface IssuerFailureOptions {
  kind: FailureKind;
  cause?: unknown;
  /** The CA's problem document. */
  problem?: AcmeProblemDocument | null;
  /** How long the CA, or what hinders, asked to be left alone. */
  retryAfterMs?: number | null;
  /** The CA was told to validate, and counts this. */
  counted?: boolean;
  /** Where the CA wants to be visited. It may carry a token of the account, so it goes into no log and no event. */
  link?: string | null;
}

/** An attempt that failed, told in a sentence for an operator. */
export class IssuerFailure extends Error {
  readonly kind: FailureKind;
  readonly problem: AcmeProblemDocument | null;
  readonly retryAfterMs: number | null;
  readonly counted: boolean;
  /** Not enumerable: a log shows all that is. */
  readonly #link: string | null;

  constructor(
    detail: string,
    { kind, cause, problem = null, retryAfterMs = null, counted = false, link = null }: IssuerFailureOptions,
  ) {
    super(detail, cause === undefined ? undefined : { cause });
    this.name = 'IssuerFailure';
    this.kind = kind;
    this.problem = problem;
    this.retryAfterMs = retryAfterMs;
    this.counted = counted;
    this.#link = link;
  }

  get link(): string | null {
    return this.#link;
  }

  get type(): string | null {
    return this.problem?.type ?? null;
  }
}
