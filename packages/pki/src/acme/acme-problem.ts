/** What an ACME CA answered other than asked (RFC 8555, section 6.7), or that it did not answer. */
export class AcmeProblem extends Error {
  /** The HTTP status; null when there was no answer at all. */
  readonly status: number | null;
  /** As `urn:ietf:params:acme:error:rateLimited`. */
  readonly type: string | null;
  readonly detail: string;
  readonly subproblems: { type: string; detail: string; identifier: string | null }[];
  readonly retryAfterMs: number | null;

  constructor(facts: {
    status: number | null;
    type?: string | null;
    detail: string;
    subproblems?: AcmeProblem['subproblems'];
    retryAfterMs?: number | null;
    cause?: unknown;
  }) {
    super(facts.detail, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = 'AcmeProblem';
    this.status = facts.status;
    this.type = facts.type ?? null;
    this.detail = facts.detail;
    this.subproblems = facts.subproblems ?? [];
    this.retryAfterMs = facts.retryAfterMs ?? null;
  }
}
