import { AppError, parseRetryAfter } from '@lockstep/contract';
import type { AxiosResponse } from 'axios';
import { createHttp, exchange } from '../shared/http-exchange.ts';
import { AcmeProblem } from './acme-problem.ts';

const zeroSslApi = 'https://api.zerossl.com';
const httpOptions = { maxContentLength: 65_536, headers: { 'user-agent': 'lockstep' } };

export interface ZeroSslEabOptions {
  /** Goes before `email`. */
  apiKey?: string | null | undefined;
  email?: string | null | undefined;
  baseUrl?: string;
  timeoutMs?: number;
  signal?: AbortSignal | undefined;
}

/**
 * An external account binding for ZeroSSL's ACME CA, by the API key or the e-mail of an account there. Where ZeroSSL does not answer, or
 * asks for patience, it throws `AcmeProblem`; where it refuses, `AppError('issuer_failed')`, for an operator to act on. Neither
 * names the key.
 */
export async function fetchZeroSslEab({
  apiKey,
  email,
  baseUrl = zeroSslApi,
  timeoutMs = 30_000,
  signal,
}: ZeroSslEabOptions): Promise<{ kid: string; hmacKey: string }> {
  if (!apiKey && !email) {
    throw new AppError('issuer_failed', 'ZeroSSL needs an API key or the e-mail address of an account');
  }
  const request = apiKey
    ? { url: `${baseUrl}/acme/eab-credentials`, params: { access_key: apiKey } }
    : { url: `${baseUrl}/acme/eab-credentials-email`, data: new URLSearchParams({ email: email! }) };
  const unanswered = (why: string) =>
    new AcmeProblem({ status: null, detail: `ZeroSSL’s API cannot be asked: ${why}` });
  const response = await exchange(
    createHttp(httpOptions),
    { method: 'POST', ...request },
    { timeoutMs, signal, unanswered },
  );
  return readBinding(response, apiKey ? 'API key' : 'e-mail address');
}

/** Errors come with status 200 too: what the body says counts. */
function readBinding(
  { status, data, headers }: AxiosResponse,
  credential: string,
): { kid: string; hmacKey: string } {
  const {
    success,
    error,
    eab_kid: kid,
    eab_hmac_key: hmacKey,
  } = typeof data === 'object' && data ? data : {};
  if (error || success === false || success === 0) {
    const type =
      typeof error?.type === 'string' && /^[\w-]{1,100}$/.test(error.type) ? error.type : 'no reason';
    const detail = `ZeroSSL gives no external account binding for the ${credential}: ${type}`;
    if (isTemporary(status)) throw problem(detail);
    throw new AppError('issuer_failed', detail);
  }
  if (status >= 300 || typeof kid !== 'string' || typeof hmacKey !== 'string' || !kid || !hmacKey)
    throw problem(`ZeroSSL’s API answered with status ${status} and no external account binding`);
  return { kid, hmacKey };

  function problem(detail: string): AcmeProblem {
    return new AcmeProblem({
      status,
      detail,
      retryAfterMs: parseRetryAfter(headers['retry-after'], Date.now()),
    });
  }
}

function isTemporary(status: number): boolean {
  return status === 429 || status >= 500;
}
