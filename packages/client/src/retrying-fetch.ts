import pRetry from 'p-retry';
import { pause } from './pause.ts';

type Fetch = (request: Request) => Promise<Response>;

/** What passes: the control plane is busy, restarting, or cannot reach its store. */
const transient = new Set([429, 502, 503, 504]);
const longestRetryAfterMs = 60_000;

export interface RetryOptions {
  fetch: Fetch;
  /** How often, after the first try. */
  retries: number;
  /** How long one try may take, in milliseconds, beside the wait that it asks for. */
  timeoutMs: number;
}

/**
 * A `fetch` that tries again where no answer came or the answer passes, after the time that `Retry-After` names, or else after a growing one.
 * A POST has an `Idempotency-Key`, the same for each try, so that none of them is done twice. The last answer is given whatever it is;
 * rejects where the last try got none.
 */
export function createRetryingFetch({ fetch, retries, timeoutMs }: RetryOptions): Fetch {
  return async (request) => {
    const { method, url, headers, signal } = request;
    if (method === 'POST' && !headers.has('idempotency-key'))
      headers.set('idempotency-key', crypto.randomUUID());
    const body = request.body === null ? null : await request.arrayBuffer();
    const longestMs = timeoutMs + askedWaitMs(headers);
    let unanswered = false;
    const once = async () => {
      const tried = AbortSignal.any([signal, AbortSignal.timeout(longestMs)]);
      const response = await fetch(new Request(url, { method, headers, body, signal: tried })).catch(
        (error) => {
          unanswered = true;
          throw error;
        },
      );
      // The try that got no answer has deleted it.
      if (method === 'DELETE' && unanswered && response.status === 404)
        return new Response(null, { status: 204 });
      if (transient.has(response.status)) throw new PassingAnswer(response);
      return response;
    };
    return pRetry(once, {
      retries,
      minTimeout: 250,
      maxTimeout: 8_000,
      randomize: true,
      signal,
      shouldRetry: ({ error }) => error instanceof PassingAnswer || !signal.aborted,
      onFailedAttempt: ({ error, retriesLeft }) =>
        error instanceof PassingAnswer && retriesLeft > 0
          ? pause(retryAfterMs(error.response), signal)
          : undefined,
    }).catch((error: unknown) => {
      if (error instanceof PassingAnswer) return error.response;
      if (signal.aborted) throw error;
      const { message, cause } = error as Error & { cause?: Error };
      throw new Error(`no answer from ${new URL(url).origin}: ${cause?.message || message}`, {
        cause: error,
      });
    });
  };
}

class PassingAnswer extends Error {
  readonly response: Response;

  constructor(response: Response) {
    super(`answered ${response.status}`);
    this.response = response;
  }
}

/** RFC 9110, section 10.2.3; the API names seconds. */
function retryAfterMs({ headers }: Response): number {
  const seconds = Number(headers.get('retry-after') ?? 0);
  return Number.isFinite(seconds) ? Math.min(seconds * 1_000, longestRetryAfterMs) : 0;
}

function askedWaitMs(headers: Headers): number {
  return Number(/\bwait=(\d+)/.exec(headers.get('prefer') ?? '')?.[1] ?? 0) * 1_000;
}
