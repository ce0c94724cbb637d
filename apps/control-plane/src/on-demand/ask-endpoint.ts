const timeoutMs = 5_000;

/** `unclear`: the endpoint did not answer, or told of trouble of its own; that says nothing about the host. */
export type Answer = { answer: 'yes' | 'no' } | { answer: 'unclear'; why: string };

export interface AskOptions {
  ask: string;
  host: string;
  fetch: typeof globalThis.fetch;
  signal: AbortSignal;
}

/** Asks the operator's endpoint whether a host may have a certificate. Never throws. */
export async function askEndpoint({ ask, host, fetch, signal }: AskOptions): Promise<Answer> {
  try {
    const { url, headers } = requestOf(ask, host);
    const response = await fetch(url, {
      headers,
      // A redirect is an answer, and not a yes: a login page would be one for every host.
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    response.body?.cancel().catch(() => {}); // only the status counts
    if (response.ok) return { answer: 'yes' };
    const { status } = response;
    return status >= 500 || status === 429
      ? { answer: 'unclear', why: `it answered ${status}` }
      : { answer: 'no' };
  } catch (error) {
    return { answer: 'unclear', why: explain(error as Error) };
  }
}

/** The reason is in the cause: of itself, fetch says no more than that it failed. */
function explain({ name, message, cause }: Error): string {
  if (name === 'TimeoutError') return `no answer within ${timeoutMs / 1_000} s`;
  const { code, message: reason } = (cause ?? {}) as NodeJS.ErrnoException;
  return reason || code || message;
}

/** With the host behind whatever query there is, left as it is; and credentials where fetch takes them. */
function requestOf(ask: string, host: string): { url: string; headers: Record<string, string> } {
  const url = new URL(ask);
  url.search = `${url.search === '' ? '?' : `${url.search}&`}domain=${encodeURIComponent(host)}`;
  if (url.username === '' && url.password === '') return { url: url.href, headers: {} };
  const credentials = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  url.username = '';
  url.password = '';
  return {
    url: url.href,
    headers: { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
  };
}
