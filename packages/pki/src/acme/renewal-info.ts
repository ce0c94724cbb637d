import { parseRetryAfter } from '@lockstep/contract';
import type { AxiosResponse } from 'axios';
import { AcmeProblem } from './acme-problem.ts';

/** When the CA would like a certificate to be renewed (RFC 9773, section 4.2). */
export interface RenewalInfo {
  /** Milliseconds since 1970. */
  start: number;
  end: number;
  /** A page that says why, for an operator. */
  explanationUrl: string | null;
  /** After which time to ask again. */
  retryAfterMs: number | null;
}

export function readRenewalInfo({ status, data, headers }: AxiosResponse): RenewalInfo {
  const start = Date.parse(data?.suggestedWindow?.start);
  const end = Date.parse(data?.suggestedWindow?.end);
  if (Number.isNaN(start) || Number.isNaN(end))
    throw new AcmeProblem({ status, detail: 'the CA’s answer is no renewal information' });
  // "A RenewalInfo object in which the end timestamp equals or precedes the start timestamp is invalid." (section 4.2)
  if (end <= start)
    throw new AcmeProblem({ status, detail: 'the CA’s renewal window ends before it begins' });
  const explanation = data.explanationURL;
  return {
    start,
    end,
    explanationUrl: typeof explanation === 'string' && /^https?:/.test(explanation) ? explanation : null,
    retryAfterMs: parseRetryAfter(headers['retry-after'], Date.now()),
  };
}
