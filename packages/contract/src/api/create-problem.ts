import { type ErrorCode, errorCodes } from '../shared/error-code.ts';
import type { Problem } from './problem.ts';

export const problemContentType = 'application/problem+json';

export function createProblem(
  code: ErrorCode,
  status: number,
  detail: string,
  members: Record<string, unknown> = {},
): Problem {
  return {
    type: `urn:lockstep:problem:${code}`,
    title: errorCodes[code].title,
    status,
    detail,
    code,
    ...members,
  };
}
