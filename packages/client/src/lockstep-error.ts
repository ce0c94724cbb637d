import type { components } from './api-types.ts';

type Problem = components['schemas']['Problem'];

/** What the API answered in place of what was asked for: a problem document (RFC 9457), or something else in between. */
export class LockstepError extends Error {
  override readonly name = 'LockstepError';
  /** The status of the answer. */
  readonly status: number;
  /** One of the codes of docs/errors.md; null where what answered was no control plane. */
  readonly code: Problem['code'] | null;
  /** The fields that are wrong, where it was about fields. */
  readonly errors: NonNullable<Problem['errors']>;
  /** The id of the request, as the control plane's log has it. */
  readonly requestId: string | null;
  /** The problem document, with all its members. */
  readonly problem: Problem | null;

  constructor(response: Response, body: unknown) {
    const problem = isProblem(body) ? body : null;
    super(problem?.detail ?? problem?.title ?? `the API answered ${response.status}`);
    this.status = response.status;
    this.code = problem?.code ?? null;
    this.errors = problem?.errors ?? [];
    this.requestId = response.headers.get('x-request-id');
    this.problem = problem;
  }
}

function isProblem(body: unknown): body is Problem {
  return typeof body === 'object' && body !== null && 'code' in body && 'status' in body;
}
