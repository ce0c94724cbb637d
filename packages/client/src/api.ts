import createFetch, { type Client } from 'openapi-fetch';
import type { paths } from './api-types.ts';
import { LockstepError } from './lockstep-error.ts';
import { createRetryingFetch } from './retrying-fetch.ts';

/** Every operation of openapi.yaml, typed, as openapi-fetch gives them. */
export type Api = Client<paths>;

export interface ApiOptions {
  /** Of any control plane, or of what stands before several: `https://lockstep.example.com`. */
  url: string;
  /** The admin token, or one of `/v1/tokens`. */
  token: string;
  /** How often a request is tried again that got no answer, or one that passes (429, 502, 503, 504). */
  retries?: number | undefined;
  /** How long one try may take, in milliseconds, beside the wait that it asks for. */
  timeoutMs?: number | undefined;
  /** In place of the global one. */
  fetch?: ((request: Request) => Promise<Response>) | undefined;
}

export function createApi({
  url,
  token,
  retries = 4,
  timeoutMs = 30_000,
  fetch = globalThis.fetch,
}: ApiOptions): Api {
  return createFetch<paths>({
    baseUrl: url,
    headers: { authorization: `Bearer ${token}` },
    fetch: createRetryingFetch({ fetch, retries, timeoutMs }),
  });
}

/** What was answered; throws `LockstepError` for an error. */
export async function answerOf<T>(
  call: Promise<{ data?: T; error?: unknown; response: Response }>,
): Promise<T> {
  const { data, error, response } = await call;
  if (!response.ok) throw new LockstepError(response, error);
  return data as T;
}
