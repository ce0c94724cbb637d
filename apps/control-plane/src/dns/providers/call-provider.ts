import { parseRetryAfter } from '@lockstep/contract';
import type { DnsProviderContext } from './dns-provider-client.ts';
import { DnsProviderError } from './dns-provider-error.ts';

export interface ProviderCall {
  /** As it begins each sentence: `DNS provider webhook`. */
  who: string;
  method: 'GET' | 'POST' | 'DELETE';
  url: string | URL;
  headers: Record<string, string>;
  body?: unknown;
  context: DnsProviderContext;
}

export interface ProviderAnswer {
  status: number;
  text: string;
  retryAfterMs: number | null;
  /** The status is that of a service which is busy or stumbles (RFC 6585, section 4; RFC 9110, section 15.6). */
  passing: boolean;
}

const maxBodyBytes = 1024 * 1024;

/**
 * One HTTP question, answered within the time-out whatever the status. Redirects are not followed: they would take the
 * credentials elsewhere.
 */
export async function callProvider(call: ProviderCall): Promise<ProviderAnswer> {
  const { who, method, url, headers, body, context } = call;
  const { origin } = new URL(url);
  const deadline = AbortSignal.timeout(context.timeoutMs);
  const question: RequestInit = {
    method,
    headers: {
      accept: 'application/json',
      ...headers,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    redirect: 'manual',
    signal: AbortSignal.any([deadline, context.signal]),
  };
  try {
    new Request(url, question);
  } catch {
    // Without a cause: it would quote the header or the address, and so the secret.
    throw new DnsProviderError(`${who} at ${origin}: the address or the secret is not usable in HTTP`);
  }
  try {
    const response = await context.fetch(url, question);
    const text = await readText(response, who);
    const { status } = response;
    return {
      status,
      text,
      retryAfterMs: parseRetryAfter(response.headers.get('retry-after'), Date.now()),
      passing: status === 429 || status >= 500,
    };
  } catch (cause) {
    if (cause instanceof DnsProviderError) throw cause;
    // The address may carry credentials; its origin does not.
    throw new DnsProviderError(`${who} at ${origin}: ${reasonOf(cause, deadline, context)}`, {
      cause,
      passing: true,
    });
  }
}

/** What an answer says, for an error: one line, shortened, without the secret, which some services send back. */
export function quote(text: string, secret: string | undefined): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  const safe = secret === undefined ? line : line.replaceAll(secret, '***');
  if (safe === '') return '';
  return safe.length > 200 ? `: ${safe.slice(0, 200)}…` : `: ${safe}`;
}

async function readText(response: Response, who: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > maxBodyBytes) throw new DnsProviderError(`${who} answered with more than 1 MiB`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function reasonOf(error: unknown, deadline: AbortSignal, { signal, timeoutMs }: DnsProviderContext): string {
  if (signal.aborted) return 'stopped';
  if (deadline.aborted) return `no answer within ${timeoutMs} ms`;
  const { cause } = error as { cause?: { code?: unknown; message?: unknown } };
  return `cannot be reached (${cause?.code ?? cause?.message ?? 'unexpected failure'})`;
}
