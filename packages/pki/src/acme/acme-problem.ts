import type { AcmeProblemDocument } from '@lockstep/contract';

/** What is kept of a CA's words, which go into records of the store and into answers: that much and no more. */
const longestDetail = 2_000;
const mostSubproblems = 20;

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
    const detail = shortened(facts.detail);
    super(detail, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = 'AcmeProblem';
    this.status = facts.status;
    this.type = facts.type == null ? null : shortened(facts.type);
    this.detail = detail;
    this.subproblems = (facts.subproblems ?? []).slice(0, mostSubproblems).map((problem) => ({
      type: shortened(problem.type),
      detail: shortened(problem.detail),
      identifier: problem.identifier === null ? null : shortened(problem.identifier),
    }));
    this.retryAfterMs = facts.retryAfterMs ?? null;
  }

  /** What an operator is shown. */
  get document(): AcmeProblemDocument {
    const { status, type, detail, subproblems } = this;
    return { status, type, detail, subproblems };
  }
}

/** Whatever a CA puts there. */
export function shortened(text: unknown): string {
  const whole = typeof text === 'string' ? text : (JSON.stringify(text) ?? '');
  return whole.length <= longestDetail ? whole : `${whole.slice(0, longestDetail)}…`;
}
