import { isDeepStrictEqual } from 'node:util';
import type { WholeRoute } from '@lockstep/caddy';
import { AppError } from '@lockstep/contract';

export interface HandOverOptions {
  /** Where the control plane speaks Caddy's admin API. */
  caddyApi: string;
  /** Sent beyond loopback, where it is asked for. */
  token: string;
}

/**
 * Gives Caddy's admin API of the control plane the JSON of routes that are there already, so that it gives that back: one after another, as they
 * stood. Resolves with why some are not taken: these are shown as Lockstep has them. Throws `bad_configuration` where nothing answers.
 */
export async function handOver(
  routes: readonly WholeRoute[],
  { caddyApi, token }: HandOverOptions,
): Promise<{ id: string; detail: string }[]> {
  const { hostname } = new URL(caddyApi);
  const loopback = /^(?:127\.[\d.]+|localhost|\[::1\])$/.test(hostname);
  const ask = async (path: string, body?: unknown) => {
    const headers = {
      'content-type': 'application/json',
      ...(!loopback && { authorization: `Bearer ${token}` }),
    };
    const given = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
    try {
      const response = await fetch(new URL(path, caddyApi), { headers, ...given });
      const text = await response.text();
      return { status: response.status, answer: text === '' ? null : (JSON.parse(text) as unknown) };
    } catch (cause) {
      const { message, cause: why } = cause as Error;
      const detail = why instanceof Error ? why.message : message;
      throw new AppError('bad_configuration', `no answer from --caddy-api ${caddyApi}: ${detail}`, { cause });
    }
  };
  const refused: { id: string; detail: string }[] = [];
  for (const { id, server, body, secret } of routes) {
    const given = (body as { '@id'?: unknown })['@id'];
    const name = String(given ?? id)
      .split('/')
      .map(encodeURIComponent)
      .join('/');
    const { answer: there } = await ask(`/id/${name}`);
    if (isDeepStrictEqual(there, body)) continue;
    if (secret) {
      refused.push({ id, detail: 'it has passwords, which nobody reads back to compare them' });
      continue;
    }
    const { status, answer } = await ask(
      `/config/apps/http/servers/${encodeURIComponent(server)}/routes`,
      body,
    );
    if (status !== 200)
      refused.push({ id, detail: (answer as { error?: string } | null)?.error ?? `it answered ${status}` });
  }
  return refused;
}
