import { X509Certificate } from 'node:crypto';
import { addressOfHost, parseRetryAfter } from '@lockstep/contract';
import type { AxiosResponse } from 'axios';
import { splitChain } from '../certificates/certificate-check.ts';
import { AcmeProblem, shortened } from './acme-problem.ts';
import { createAcmeTransport } from './acme-transport.ts';
import { alternateLinks } from './alternate-links.ts';
import { type RenewalInfo, readRenewalInfo } from './renewal-info.ts';

const alreadyRevoked = 'urn:ietf:params:acme:error:alreadyRevoked';
/** A CA offers two or three. */
const maxAlternates = 10;

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
  /** Empty for dns-persist-01, which has none. */
  token: string;
  /** Of dns-persist-01: the names that the CA goes by in its record, and the account as the record has to name it, where the CA says so. */
  issuerDomainNames: string[];
  accountUri: string | null;
  status: 'pending' | 'processing' | 'valid' | 'invalid';
  error: AcmeError | null;
}

export interface AcmeAuthorization {
  status: 'pending' | 'valid' | 'invalid' | 'deactivated' | 'expired' | 'revoked';
  host: string;
  challenges: AcmeChallenge[];
  retryAfterMs: number | null;
}

/** What a CA says of itself (section 7.1.1). */
export interface AcmeDirectory {
  /** What CAA records call it. */
  caaIdentities: string[];
  /** Descriptions by name. */
  profiles: Record<string, string>;
  externalAccountRequired: boolean;
  /** Null where it gives no renewal information (RFC 9773). */
  renewalInfo: string | null;
  termsOfService: string | null;
}

/**
 * One account at one ACME CA (RFC 8555), a call a request: nothing here waits, polls or tries again, save a refused nonce (section
 * 6.5). Every call throws `AcmeProblem`; aborted, it throws the signal's reason.
 */
export interface AcmeClient {
  directory(signal?: AbortSignal): Promise<AcmeDirectory>;
  /** Makes the account, or finds the one this key already has (section 7.3.1). */
  createAccount(options: { email?: string | null }, signal?: AbortSignal): Promise<{ accountUrl: string }>;
  newOrder(
    options: { host: string; profile?: string | undefined; replaces?: string | undefined },
    signal?: AbortSignal,
  ): Promise<AcmeOrder>;
  getOrder(url: string, signal?: AbortSignal): Promise<AcmeOrder>;
  getAuthorization(url: string, signal?: AbortSignal): Promise<AcmeAuthorization>;
  /** Section 8.1. */
  keyAuthorization(token: string): Promise<string>;
  /** Tells the CA that the challenge can be validated. */
  completeChallenge(url: string, signal?: AbortSignal): Promise<void>;
  /** `csr` is DER. The answer need not name the order's address. */
  finalize(finalizeUrl: string, csr: Buffer, signal?: AbortSignal): Promise<Omit<AcmeOrder, 'url'>>;
  /**
   * The PEM chain, leaf first: of those the CA offers (section 7.4.2) the first whose last issuer has `preferredChain` in its
   * name, else the CA's default.
   */
  getCertificate(
    url: string,
    options?: { preferredChain?: string | null | undefined },
    signal?: AbortSignal,
  ): Promise<string>;
  /**
   * Section 7.6, as the account that ordered it, or else as whoever holds the certificate's key. `reason` is of RFC 5280,
   * section 5.3.1. Done already is done.
   */
  revokeCertificate(
    options: { chain: string; reason: number; keyPem?: string | undefined },
    signal?: AbortSignal,
  ): Promise<void>;
  /** `certId` is `ariCertId` of the chain. Null where the CA gives no renewal information. */
  getRenewalInfo(certId: string, signal?: AbortSignal): Promise<RenewalInfo | null>;
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
  /** Told of each request: the status of the CA's answer, or null without one, and its Date. */
  onAnswer?: ((status: number | null, date: string | null) => void) | undefined;
}

export function createAcmeClient(options: AcmeClientOptions): AcmeClient {
  const { rootsPem = null, eab = null, timeoutMs = 30_000 } = options;
  const transport = createAcmeTransport({ ...options, rootsPem, eab, timeoutMs });
  let accountUrl = options.accountUrl ?? null;

  async function post(url: string, payload: object | null, signal?: AbortSignal): Promise<AxiosResponse> {
    if (accountUrl === null) throw new AcmeProblem({ status: null, detail: 'there is no account yet' });
    return transport.post(url, payload, accountUrl, signal);
  }

  /** Signed with another key than the account's, and bound to no account. */
  async function postAsHolder(
    keyPem: string,
    url: string,
    payload: object,
    signal?: AbortSignal,
  ): Promise<void> {
    const own = createAcmeTransport({ ...options, accountKeyPem: keyPem, rootsPem, eab: null, timeoutMs });
    try {
      await own.post(url, payload, null, signal);
    } finally {
      own.close();
    }
  }

  return {
    async directory(signal) {
      const { meta = {}, renewalInfo = null } = await transport.directory(signal);
      return {
        caaIdentities: meta.caaIdentities ?? [],
        profiles: meta.profiles ?? {},
        externalAccountRequired: meta.externalAccountRequired ?? false,
        renewalInfo,
        termsOfService: meta.termsOfService ?? null,
      };
    },
    async createAccount({ email = null }, signal) {
      const contact = email === null ? {} : { contact: [`mailto:${email}`] };
      const url = await transport.resourceUrl('newAccount', signal);
      const response = await transport.post(url, { termsOfServiceAgreed: true, ...contact }, null, signal);
      accountUrl = locationOf(response);
      return { accountUrl };
    },
    async newOrder({ host, profile, replaces }, signal) {
      const url = await transport.resourceUrl('newOrder', signal);
      const address = addressOfHost(host);
      // RFC 8738, section 3.
      const identifiers = [address === null ? { type: 'dns', value: host } : { type: 'ip', value: address }];
      const payload = { identifiers, ...(profile && { profile }), ...(replaces && { replaces }) };
      const response = await post(url, payload, signal);
      return { url: locationOf(response), ...readOrder(response) };
    },
    getOrder: async (url, signal) => ({ url, ...readOrder(await post(url, null, signal)) }),
    getAuthorization: async (url, signal) => readAuthorization(await post(url, null, signal)),
    keyAuthorization: (token) => transport.keyAuthorization(token),
    async completeChallenge(url, signal) {
      await post(url, {}, signal);
    },
    finalize: async (finalizeUrl, csr, signal) =>
      readOrder(await post(finalizeUrl, { csr: csr.toString('base64url') }, signal)),
    async getCertificate(url, { preferredChain = null } = {}, signal) {
      const response = await post(url, null, signal);
      const chain = String(response.data);
      if (preferredChain === null || leadsTo(chain, preferredChain)) return chain;
      for (const other of alternateLinks(response.headers.link, url).slice(0, maxAlternates)) {
        const alternate = await post(other, null, signal).catch((error: unknown) => {
          // A preference is no reason to go without a certificate.
          if (error instanceof AcmeProblem) return null;
          throw error;
        });
        if (alternate !== null && leadsTo(String(alternate.data), preferredChain))
          return String(alternate.data);
      }
      return chain;
    },
    async revokeCertificate({ chain, reason, keyPem }, signal) {
      const url = await transport.resourceUrl('revokeCert', signal);
      const payload = { certificate: new X509Certificate(chain).raw.toString('base64url'), reason };
      try {
        await (keyPem === undefined
          ? post(url, payload, signal)
          : postAsHolder(keyPem, url, payload, signal));
      } catch (error) {
        if (!(error instanceof AcmeProblem) || error.type !== alreadyRevoked) throw error;
      }
    },
    async getRenewalInfo(certId, signal) {
      const { renewalInfo } = await transport.directory(signal);
      if (typeof renewalInfo !== 'string') return null;
      return readRenewalInfo(await transport.get(`${renewalInfo.replace(/\/$/, '')}/${certId}`, signal));
    },
    close: () => transport.close(),
  };
}

/** Whether the last certificate's issuer has this in its name. */
function leadsTo(chain: string, issuerName: string): boolean {
  const last = splitChain(chain).at(-1);
  return last !== undefined && new X509Certificate(last).issuer.includes(issuerName);
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
    challenges: (data.challenges ?? []).map(readChallenge),
    retryAfterMs: parseRetryAfter(headers['retry-after'], Date.now()),
  };
}

function readChallenge({
  type,
  url,
  token,
  status,
  error,
  accounturi,
  'issuer-domain-names': names,
}: Record<string, unknown>): AcmeChallenge {
  return {
    type: String(type),
    url: String(url),
    token: typeof token === 'string' ? token : '',
    // draft-ietf-acme-dns-persist, section 3.1: without one, or with more than ten, it is malformed.
    issuerDomainNames: Array.isArray(names) && names.length <= 10 ? names.filter(isDomainName) : [],
    accountUri: typeof accounturi === 'string' ? accounturi : null,
    status: status as AcmeChallenge['status'],
    error: readError(error as Partial<AcmeError> | null),
  };
}

function isDomainName(name: unknown): name is string {
  return typeof name === 'string' && name.length <= 253 && /^[a-z0-9-]+(\.[a-z0-9-]+)*$/.test(name);
}

function unreadable(status: number, what: string): AcmeProblem {
  return new AcmeProblem({ status, detail: `the CA’s answer is no ${what}` });
}

function readError(error: Partial<AcmeError> | null | undefined): AcmeError | null {
  if (!error) return null;
  const type = error.type == null ? null : shortened(error.type);
  return { type, detail: error.detail == null ? 'the CA gives no reason' : shortened(error.detail) };
}
