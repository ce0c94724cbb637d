import type { DeniedAddresses } from '@lockstep/pki/denied-addresses';
import { shownText } from '../dns/shown-records.ts';
import { createGuardedFetch } from '../outbound/guarded-fetch.ts';
import type { HttpProof } from './proofs.ts';

const timeoutMs = 10_000;
const mostRedirects = 3;
const mostBytes = 1_024;
const redirects = [301, 302, 303, 307, 308];
const tokenForm = /^lockstep-[\w-]{32}$/;

export interface HttpAnswer {
  proven: boolean;
  /** A text of the form, of whomever it is. */
  found: string[];
  /** Why there is no such text, in words that follow the address. */
  failure: string | null;
}

/** Asks the server to which a host leads now for the text that proves it. Never throws for what it answers. */
export type HttpProofs = (host: string, proof: HttpProof) => Promise<HttpAnswer>;

export interface HttpProofsOptions {
  denied(): DeniedAddresses;
  /** By the resolvers of the settings, as everything that is looked up of hosts. */
  addressesOf(name: string): Promise<string[]>;
  userAgent: string;
  port?: number;
}

export function createHttpProofs({
  denied,
  addressesOf,
  userAgent,
  port = 80,
}: HttpProofsOptions): HttpProofs {
  const fetch = createGuardedFetch(denied, addressesOf);

  /** The answer of the last address that it was sent on to: of the host or its www, or a server that sends people anywhere would prove everything. */
  async function ask(host: string, path: string): Promise<Response | string> {
    const signal = AbortSignal.timeout(timeoutMs);
    let url = new URL(`http://${host}${port === 80 ? '' : `:${port}`}${path}`);
    for (let hops = 0; ; hops += 1) {
      const response = await fetch(url.href, {
        redirect: 'manual',
        signal,
        headers: { accept: 'text/plain', 'user-agent': userAgent },
      });
      if (!redirects.includes(response.status)) return response;
      await response.body?.cancel();
      const location = response.headers.get('location') ?? '';
      if (hops === mostRedirects) return 'leads on and on';
      if (!URL.canParse(location, url)) return 'leads to an address that is none';
      url = new URL(location, url);
      if (!isFollowed(url, host)) return `leads to ${shownText(url.origin)}, which is not followed`;
    }
  }

  function isFollowed({ protocol, hostname, port: to, username, password }: URL, host: string): boolean {
    const plain = protocol === 'http:' && (to === '' ? 80 : Number(to)) === port;
    const usual = plain || (protocol === 'https:' && to === '');
    const own = [host, `www.${host}`].includes(hostname) || `www.${hostname}` === host;
    return usual && own && username === '' && password === '';
  }

  return async (host, { path, text }) => {
    try {
      const response = await ask(host, path);
      if (typeof response === 'string') return { proven: false, found: [], failure: response };
      const body = await firstOf(response);
      if (response.status !== 200) return { proven: false, found: [], failure: `answers ${response.status}` };
      const proven = body === text;
      const found = tokenForm.test(body) ? [body] : [];
      return { proven, found, failure: proven ? null : 'answers another text' };
    } catch (error) {
      return { proven: false, found: [], failure: `cannot be asked: ${shownText(reasonOf(error))}` };
    }
  };
}

/** The beginning of a body, without the space around it: of a longer one the rest is of no use. */
async function firstOf(response: Response): Promise<string> {
  let text = '';
  let length = 0;
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    length += chunk.byteLength;
    text += decoder.decode(chunk, { stream: true });
    if (length > mostBytes) break;
  }
  return length > mostBytes ? '' : text.trim();
}

/** fetch says what went wrong in the cause. */
function reasonOf(error: unknown): string {
  const { name, message, cause } = error as Error;
  if (name === 'TimeoutError') return 'no answer in time';
  return cause instanceof Error && cause.message !== '' ? cause.message : message;
}
