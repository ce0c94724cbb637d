import { setTimeout as pause } from 'node:timers/promises';
import { AppError, type ErrorCode, type FieldError } from '@lockstep/contract';

const mostTries = 20;
const longestPauseMs = 10_000;

export interface ApiClientOptions {
  /** Of any control plane. */
  url: string;
  token: string;
  signal?: AbortSignal | undefined;
}

/** The API, as the commands use it. */
export interface ApiClient {
  /** The body of the answer; null for one that means nothing was found. Waits where the control plane is overloaded. Throws what the API answers. */
  call<T>(method: string, path: string, body?: unknown): Promise<{ status: number; body: T }>;
}

interface ProblemBody {
  code?: ErrorCode;
  detail?: string;
  errors?: FieldError[];
}

export function createApiClient({ url, token, signal }: ApiClientOptions): ApiClient {
  const base = url.replace(/\/+$/, '');

  async function send(method: string, path: string, body: unknown): Promise<Response> {
    const headers: Record<string, string> = { authorization: `Bearer ${token}` };
    if (body !== undefined) headers['content-type'] = 'application/json';
    return fetch(base + path, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: signal ?? null,
    }).catch((cause) => {
      if (signal?.aborted) throw cause;
      const detail = `the API at ${base} does not answer; name a control plane with --url (LOCKSTEP_URL)`;
      throw new AppError('store_unavailable', detail, { cause });
    });
  }

  return {
    async call<T>(method: string, path: string, body?: unknown) {
      for (let attempt = 1; ; attempt += 1) {
        const response = await send(method, path, body);
        const answer = (await response.json().catch(() => null)) as T & ProblemBody;
        if (response.ok) return { status: response.status, body: answer };
        if (response.status === 503 && attempt < mostTries) {
          const seconds = Number(response.headers.get('retry-after')) || 1;
          await pause(Math.min(longestPauseMs, seconds * 1_000), undefined, { ...(signal && { signal }) });
          continue;
        }
        const detail = answer?.detail ?? `the API answered ${response.status}`;
        throw new AppError(answer?.code ?? 'internal', detail, { errors: answer?.errors ?? [] });
      }
    },
  };
}
