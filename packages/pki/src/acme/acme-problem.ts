import type { AcmeProblemDocument } from '@lockstep/contract';

/** What an ACME CA answered other than asked (RFC 8555, section 6.7), or that it did not answer. */
export class AcmeProblem extends Error {
  /** The HTTP status; null when there was no answer at all. */
  readonly status: number | null;
  /** As `urn:ietf:params:acme:error:rateLimited`. */
  readonly type: string | null;
  readonly detail: string;
  readonly subproblems: AcmeProblemDocument['subproblems'];
  readonly retryAfterMs: number | null;

  constructor(
    facts: Partial<AcmeProblemDocument> & {
      status: number | null;
      detail: string;
      retryAfterMs?: number | null;
      cause?: unknown;
    },
  ) {
    super(facts.detail, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = 'AcmeProblem';
    this.status = facts.status;
    this.type = facts.type ?? null;
    this.detail = facts.detail;
    this.subproblems = facts.subproblems ?? [];
    this.retryAfterMs = facts.retryAfterMs ?? null;
  }

  /** What an operator is shown. */
  get document(): AcmeProblemDocument {
    const { status, type, detail, subproblems } = this;
    return { status, type, detail, subproblems };
  }
}
