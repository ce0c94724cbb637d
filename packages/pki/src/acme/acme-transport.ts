import { Agent } from 'node:https';
import { getCACertificates } from 'node:tls';
import { Client } from 'acme-client';
import axios, { type AxiosResponse, isAxiosError } from 'axios';
import { AcmeProblem } from './acme-problem.ts';
import { parseRetryAfter } from './retry-after.ts';

const badNonce = 'urn:ietf:params:acme:error:badNonce';

export interface AcmeTransportOptions {
  directory: string;
  accountKeyPem: string;
  /** PEM, trusted besides the public roots; null: those alone. */
  rootsPem: string | null;
  userAgent: string;
  timeoutMs: number;
  eab: { kid: string; hmacKey: string } | null;
}

/** acme-client's signing HTTP client: directory, nonces, JWS. */
interface SigningClient {
  request(
    url: string,
    method: string,
    options?: { data?: unknown; headers?: Record<string, string> },
  ): Promise<AxiosResponse>;
  signedRequest(
    url: string,
    payload: unknown,
    options: { kid: string | null; includeExternalAccountBinding?: boolean },
  ): Promise<AxiosResponse>;
  getNonce(): Promise<string>;
  getResourceUrl(resource: string): Promise<string>;
}

export interface AcmeTransport {
  resourceUrl(resource: 'newAccount' | 'newOrder'): Promise<string>;
  /** POST-as-GET when `payload` is null (RFC 8555, section 6.3). Throws `AcmeProblem` for every answer of 400 and above. */
  post(url: string, payload: unknown, kid: string | null): Promise<AxiosResponse>;
  keyAuthorization(token: string): Promise<string>;
  close(): void;
}

/**
 * One issuer's way to its CA, with roots and time-outs of its own. acme-client keeps one axios for the whole process, with
 * settings and retries that sleep in the caller; so each client's `request` is replaced, and only its signing is used.
 */
export function createAcmeTransport(options: AcmeTransportOptions): AcmeTransport {
  const { directory, accountKeyPem, rootsPem, userAgent, timeoutMs, eab } = options;
  const client = new Client({
    directoryUrl: directory,
    accountKey: accountKeyPem,
    ...(eab === null ? {} : { externalAccountBinding: eab }),
  });
  const signing = (client as unknown as { http: SigningClient }).http;
  const nonces: string[] = [];
  const agent = new Agent({
    keepAlive: true,
    ...(rootsPem === null ? {} : { ca: [...getCACertificates(), rootsPem] }),
  });
  const http = axios.create({
    adapter: 'http',
    httpsAgent: agent,
    proxy: false,
    maxRedirects: 0,
    maxContentLength: 1_048_576,
    validateStatus: null,
    headers: { 'user-agent': userAgent },
  });

  signing.request = async (url, method, { data, headers = {} } = {}) => {
    const deadline = AbortSignal.timeout(timeoutMs);
    try {
      const response = await http.request({
        url,
        method,
        data,
        headers: { 'content-type': 'application/jose+json', ...headers },
        signal: deadline,
      });
      // A refused nonce goes back to acme-client, which tries again with the one that came with it.
      if (response.status >= 400 && response.data?.type !== badNonce) throw problemOf(response);
      const nonce = response.headers['replay-nonce'];
      if (method === 'post' && response.status < 400 && typeof nonce === 'string') nonces.push(nonce);
      return response;
    } catch (error) {
      if (!isAxiosError(error)) throw error;
      const why = deadline.aborted ? `no answer within ${timeoutMs} ms` : error.message || error.code;
      // Without the cause: an axios error carries the whole request.
      throw new AcmeProblem({ status: null, detail: `${method.toUpperCase()} ${url}: ${why}` });
    }
  };
  // Each answer brings the nonce of the next request (RFC 8555, section 6.5): half the requests are saved.
  const askForNonce = signing.getNonce.bind(signing);
  signing.getNonce = async () => nonces.pop() ?? askForNonce();

  return {
    async resourceUrl(resource) {
      try {
        return await signing.getResourceUrl(resource);
      } catch (cause) {
        if (cause instanceof AcmeProblem) throw cause;
        throw new AcmeProblem({ status: null, detail: `${directory} is no ACME directory`, cause });
      }
    },
    async post(url, payload, kid) {
      const response = await signing.signedRequest(url, payload, {
        kid,
        includeExternalAccountBinding: kid === null,
      });
      if (response.status >= 400) throw problemOf(response);
      return response;
    },
    keyAuthorization: async (token) =>
      // http-01 takes the key authorization as it is (RFC 8555, section 8.3).
      client.getChallengeKeyAuthorization({ type: 'http-01', token, url: '', status: 'pending' }),
    close: () => agent.destroy(),
  };
}

interface ProblemDocument {
  type?: string;
  detail?: string;
  subproblems?: { type?: string; detail?: string; identifier?: { value?: string } }[];
}

function problemOf({ status, data, headers }: AxiosResponse): AcmeProblem {
  const document: ProblemDocument = typeof data === 'object' && data !== null ? data : {};
  return new AcmeProblem({
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
