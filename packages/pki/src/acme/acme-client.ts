import type { AxiosResponse } from 'axios';
import { AcmeProblem } from './acme-problem.ts';
import { createAcmeTransport } from './acme-transport.ts';
import { parseRetryAfter } from './retry-after.ts';

export interface AcmeError {
  type: string | null;
  detail: string;
}

export interface AcmeOrder {
  url: string;
  status: 'pending' | 'ready' | 'processing' | 'valid' | 'invalid';
  authorizations: string[];
  finalizeUrl: string;
  certificateUrl: string | null;
  expires: string | null;
  error: AcmeError | null;
  retryAfterMs: number | null;
}

export interface AcmeChallenge {
  type: string;
  url: string;
  token: string;
  status: 'pending' | 'processing' | 'valid' | 'invalid';
  error: AcmeError | null;
}

export interface AcmeAuthorization {
  status: 'pending' | 'valid' | 'invalid' | 'deactivated' | 'expired' | 'revoked';
  host: string;
  challenges: AcmeChallenge[];
  retryAfterMs: number | null;
}

/**
 * One account at one ACME CA (RFC 8555), a call a request: nothing here waits, polls or tries again, save a refused nonce (section
 * 6.5). Every call throws `AcmeProblem`.
 */
export interface AcmeClient {
  /** Makes the account, or finds the one this key already has (section 7.3.1). */
  createAccount(options: { email?: string | null }): Promise<{ accountUrl: string }>;
  newOrder(options: { host: string; profile?: string; replaces?: string }): Promise<AcmeOrder>;
  getOrder(url: string): Promise<AcmeOrder>;
  getAuthorization(url: string): Promise<AcmeAuthorization>;
  /** Section 8.1. */
  keyAuthorization(token: string): Promise<string>;
  /** Tells the CA that the challenge can be validated. */
  completeChallenge(url: string): Promise<void>;
  /** `csr` is DER. The answer need not name the order's address. */
  finalize(finalizeUrl: string, csr: Buffer): Promise<Omit<AcmeOrder, 'url'>>;
  /** The PEM chain, leaf first. */
  getCertificate(url: string): Promise<string>;
  close(): void;
}

export interface AcmeClientOptions {
  directory: string;
  /** PKCS#8 PEM. */
  accountKeyPem: string;
  /** Null until `createAccount`. */
  accountUrl?: string | null;
  /** PEM roots to trust besides the public ones. */
  rootsPem?: string | null;
  /** External account binding (section 7.3.4). */
  eab?: { kid: string; hmacKey: string } | null;
  userAgent: string;
  timeoutMs?: number;
}

export function createAcmeClient(options: AcmeClientOptions): AcmeClient {
  const { rootsPem = null, eab = null, timeoutMs = 30_000 } = options;
  const transport = createAcmeTransport({ ...options, rootsPem, eab, timeoutMs });
  let accountUrl = options.accountUrl ?? null;

  function post(url: string, payload: unknown): Promise<AxiosResponse> {
    if (accountUrl === null) throw new AcmeProblem({ status: null, detail: 'there is no account yet' });
    return transport.post(url, payload, accountUrl);
  }

  return {
    async createAccount({ email = null }) {
      const contact = email === null ? {} : { contact: [`mailto:${email}`] };
      const url = await transport.resourceUrl('newAccount');
      const response = await transport.post(url, { termsOfServiceAgreed: true, ...contact }, null);
      accountUrl = locationOf(response);
      return { accountUrl };
    },
    async newOrder({ host, profile, replaces }) {
      const url = await transport.resourceUrl('newOrder');
      const identifiers = [{ type: 'dns', value: host }];
      const response = await post(url, {
        identifiers,
        ...(profile && { profile }),
        ...(replaces && { replaces }),
      });
      return { url: locationOf(response), ...readOrder(response) };
    },
    getOrder: async (url) => ({ url, ...readOrder(await post(url, null)) }),
    getAuthorization: async (url) => readAuthorization(await post(url, null)),
    keyAuthorization: (token) => transport.keyAuthorization(token),
    async completeChallenge(url) {
      await post(url, {});
    },
    finalize: async (finalizeUrl, csr) =>
      readOrder(await post(finalizeUrl, { csr: csr.toString('base64url') })),
    getCertificate: async (url) => String((await post(url, null)).data),
    close: () => transport.close(),
  };
}

function locationOf({ status, headers }: AxiosResponse): string {
  if (typeof headers.location === 'string') return headers.location;
  throw new AcmeProblem({ status, detail: 'the CA’s answer has no Location' });
}

function readOrder({ status, data, headers }: AxiosResponse): Omit<AcmeOrder, 'url'> {
  if (typeof data?.status !== 'string' || typeof data.finalize !== 'string')
    throw unreadable(status, 'order');
  return {
    status: data.status,
    authorizations: data.authorizations ?? [],
    finalizeUrl: data.finalize,
    certificateUrl: data.certificate ?? null,
    expires: data.expires ?? null,
    error: readError(data.error),
    retryAfterMs: parseRetryAfter(headers['retry-after'], Date.now()),
  };
}

function readAuthorization({ status, data, headers }: AxiosResponse): AcmeAuthorization {
  if (typeof data?.status !== 'string') throw unreadable(status, 'authorization');
  return {
    status: data.status,
    host: `${data.wildcard === true ? '*.' : ''}${data.identifier?.value ?? ''}`,
    challenges: (data.challenges ?? []).map((challenge: AcmeChallenge) => ({
      ...challenge,
      error: readError(challenge.error),
    })),
    retryAfterMs: parseRetryAfter(headers['retry-after'], Date.now()),
  };
}

function unreadable(status: number, what: string): AcmeProblem {
  return new AcmeProblem({ status, detail: `the CA’s answer is no ${what}` });
}

function readError(error: Partial<AcmeError> | null | undefined): AcmeError | null {
  return error ? { type: error.type ?? null, detail: error.detail ?? 'the CA gives no reason' } : null;
}
