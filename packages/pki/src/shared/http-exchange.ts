import type { AxiosInstance, AxiosRequestConfig, AxiosResponse } from 'axios';
import { axios } from './at-first-use.ts';

export interface ExchangeOptions {
  timeoutMs: number;
  signal?: AbortSignal | undefined;
  /** Makes the error for an answer that did not come; `why` names no path, query or body. */
  unanswered: (why: string) => Error;
}

/** An HTTP client that gives every answer as it is, whatever its status, follows nothing and goes through no proxy. */
export function createHttp(options: AxiosRequestConfig & { maxContentLength: number }): AxiosInstance {
  return axios().create({
    adapter: 'http',
    proxy: false,
    maxRedirects: 0,
    validateStatus: null,
    ...options,
  });
}

/** One request and its answer, within `timeoutMs`. Aborted, it throws the signal's reason. */
export async function exchange<T>(
  http: AxiosInstance,
  request: AxiosRequestConfig,
  { timeoutMs, signal, unanswered }: ExchangeOptions,
): Promise<AxiosResponse<T>> {
  signal?.throwIfAborted();
  const deadline = AbortSignal.timeout(timeoutMs);
  try {
    return await http.request({
      ...request,
      signal: signal === undefined ? deadline : AbortSignal.any([deadline, signal]),
    });
  } catch (error) {
    signal?.throwIfAborted();
    if (!axios().isAxiosError(error)) throw error;
    // Without the cause: an axios error carries the whole request.
    throw unanswered(
      deadline.aborted ? `no answer within ${timeoutMs} ms` : error.message || error.code || '?',
    );
  }
}
