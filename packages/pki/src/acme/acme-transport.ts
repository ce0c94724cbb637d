import { Agent } from 'node:https';
import { parseRetryAfter } from '@lockstep/contract';
import type { AxiosResponse } from 'axios';
import { acmeClient } from '../shared/at-first-use.ts';
import { createHttp, exchange } from '../shared/http-exchange.ts';
import { AcmeProblem } from './acme-problem.ts';
import { createNoncePool } from './nonce-pool.ts';

const { getCACertificates } = process.getBuiltinModule('node:tls');

const badNonce = 'urn:ietf:params:acme:error:badNonce';
const nonceAttempts = 6;
const directoryMaxAgeMs = 86_400_000;
const answerMaxBytes = 1_048_576;

export interface AcmeTransportOptions {
  directory: string;
  accountKeyPem: string;
  /** PEM, trusted besides the public roots; null: those alone. */
  rootsPem: string | null;
  userAgent: string;
  timeoutMs: number;
  eab: { kid: string; hmacKey: string } | null;
  /** Told of each request: the status of its answer, or null without one, and its Date. */
  onAnswer?: ((status: number | null, date: string | null) => void) | undefined;
}

/** acme-client's signing (RFC 7515), which it keeps to itself. */
interface Signer {
  getJwk(): object;
  createSignedBody(url: string, payload: unknown, options: { nonce: string; kid: string | null }): object;
  createSignedHmacBody(hmacKey: string, url: string, payload: unknown, options: { kid: string }): object;
}

export type AcmeResource = 'newNonce' | 'newAccount' | 'newOrder' | 'revokeCert';

/** Section 7.1.1, and `renewalInfo` of RFC 9773, section 4.1. */
export type DirectoryDocument = Partial<Record<AcmeResource | 'renewalInfo', string>> & {
  meta?: {
    termsOfService?: string;
    caaIdentities?: string[];
    externalAccountRequired?: boolean;
    profiles?: Record<string, string>;
  };
};

/** Every call throws `AcmeProblem` for no answer and for every answer of 400 and above; aborted, it throws the signal's reason. */
export interface AcmeTransport {
  /** As the CA gives it; asked for again after a day. */
  directory(signal?: AbortSignal): Promise<DirectoryDocument>;
  resourceUrl(resource: AcmeResource, signal?: AbortSignal): Promise<string>;
  /** Unsigned. */
  get(url: string, signal?: AbortSignal): Promise<AxiosResponse>;
  /** POST-as-GET when `payload` is null (RFC 8555, section 6.3). Without `kid` it is signed with the key itself, and bound to the external account. */
  post(url: string, payload: object | null, kid: string | null, signal?: AbortSignal): Promise<AxiosResponse>;
  keyAuthorization(token: string): Promise<string>;
  close(): void;
}

/** A connection is not used again after so long: a CA may be about to close it, and a request that meets that is lost. */
const idleMs = 4_000;

/**
 * One issuer's way to its CA, with roots and time-outs of its own. acme-client keeps one axios for the whole process, with
 * settings and retries that sleep in the caller; so only its signing is used.
 */
export function createAcmeTransport(options: AcmeTransportOptions): AcmeTransport {
  const { rootsPem, userAgent, timeoutMs, eab } = options;
  const client = new (acmeClient().Client)({
    directoryUrl: options.directory,
    accountKey: options.accountKeyPem,
  });
  const signer = (client as unknown as { http: Signer }).http;
  const nonces = createNoncePool();
  const agent = new Agent({
    keepAlive: true,
    timeout: idleMs,
    ...(rootsPem === null ? {} : { ca: [...getCACertificates(), rootsPem] }),
  });
  const http = createHttp({
    httpsAgent: agent,
    maxContentLength: answerMaxBytes,
    headers: { 'user-agent': userAgent, 'content-type': 'application/jose+json' },
  });
  let known: { document: DirectoryDocument; at: number } | null = null;

  async function request(
    method: 'GET' | 'HEAD' | 'POST',
    url: string,
    data?: object,
    signal?: AbortSignal,
  ): Promise<AxiosResponse> {
    const unanswered = (why: string) => new AcmeProblem({ status: null, detail: `${method} ${url}: ${why}` });
    let status: number | null = null;
    let date: string | null = null;
    try {
      const response = await exchange<unknown>(
        http,
        { url, method, data },
        { timeoutMs, signal, unanswered },
      );
      status = response.status;
      date = typeof response.headers.date === 'string' ? response.headers.date : null;
      return response;
    } finally {
      options.onAnswer?.(status, date);
    }
  }

  async function get(url: string, signal?: AbortSignal): Promise<AxiosResponse> {
    return accepted(await request('GET', url, undefined, signal));
  }

  async function directory(signal?: AbortSignal): Promise<DirectoryDocument> {
    if (known !== null && performance.now() - known.at < directoryMaxAgeMs) return known.document;
    const { status, data } = await get(options.directory, signal);
    if (typeof data !== 'object' || data === null)
      throw new AcmeProblem({ status, detail: `${options.directory} is no ACME directory` });
    known = { document: data, at: performance.now() };
    return data;
  }

  async function resourceUrl(resource: AcmeResource, signal?: AbortSignal): Promise<string> {
    const url = (await directory(signal))[resource];
    if (typeof url === 'string') return url;
    const detail = `${options.directory} is no ACME directory: it names no ${resource}`;
    throw new AcmeProblem({ status: null, detail });
  }

  async function askForNonce(signal?: AbortSignal): Promise<string> {
    const response = accepted(
      await request('HEAD', await resourceUrl('newNonce', signal), undefined, signal),
    );
    const nonce = nonceOf(response);
    if (nonce !== null) return nonce;
    throw new AcmeProblem({ status: response.status, detail: 'the CA gives no nonce' });
  }

  async function post(
    url: string,
    payload: object | null,
    kid: string | null,
    signal?: AbortSignal,
  ): Promise<AxiosResponse> {
    const bound =
      kid === null && eab !== null
        ? {
            ...payload,
            externalAccountBinding: signer.createSignedHmacBody(eab.hmacKey, url, signer.getJwk(), {
              kid: eab.kid,
            }),
          }
        : payload;
    // Each answer brings the nonce of a next request (section 6.5): half the requests are saved.
    let nonce = nonces.take() ?? (await askForNonce(signal));
    for (let attempt = 1; ; attempt++) {
      const body = signer.createSignedBody(url, bound, { nonce, kid });
      const response = await request('POST', url, body, signal);
      const next = nonceOf(response);
      if (response.status >= 400 && response.data?.type === badNonce && attempt < nonceAttempts) {
        // What was kept is at least as old as the one refused, or was made by a CA that has forgotten its nonces.
        nonces.clear();
        nonce = next ?? (await askForNonce(signal));
        continue;
      }
      if (next !== null) nonces.put(next);
      return accepted(response);
    }
  }

  return {
    directory,
    resourceUrl,
    get,
    post,
    keyAuthorization: async (token) =>
      // http-01 takes the key authorization as it is (RFC 8555, section 8.3).
      client.getChallengeKeyAuthorization({ type: 'http-01', token, url: '', status: 'pending' }),
    close: () => agent.destroy(),
  };
}

function nonceOf({ headers }: AxiosResponse): string | null {
  const nonce = headers['replay-nonce'];
  return typeof nonce === 'string' ? nonce : null;
}

interface ProblemDocument {
  type?: string;
  detail?: string;
  subproblems?: { type?: string; detail?: string; identifier?: { value?: string } }[];
}

function accepted(response: AxiosResponse): AxiosResponse {
  const { status, data, headers } = response;
  if (status < 400) return response;
  const document: ProblemDocument = typeof data === 'object' && data !== null ? data : {};
  throw new AcmeProblem({
    status,
    type: document.type ?? null,
    detail: document.detail ?? `the CA answered with status ${status} and no reason`,
    subproblems: (document.subproblems ?? []).map(({ type, detail, identifier }) => ({
      type: type ?? '',
      detail: detail ?? '',
      identifier: identifier?.value ?? null,
    })),
    retryAfterMs: parseRetryAfter(headers['retry-after'], Date.now()),
  });
}
