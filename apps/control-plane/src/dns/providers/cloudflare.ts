import type { DnsProvider } from '@lockstep/contract';
import { z } from 'zod';
import { callProvider, quote } from './call-provider.ts';
import type { DnsProviderActions, DnsProviderContext, TxtRecord } from './dns-provider-client.ts';
import { DnsProviderError } from './dns-provider-error.ts';

const who = 'DNS provider cloudflare';

/** The least that every plan allows. */
const ttlSeconds = 60;

/** Codes of the API's errors. */
const recordExists = [81057, 81058];
const recordMissing = [81044];

const Answer = z.object({
  success: z.boolean(),
  errors: z.array(z.object({ code: z.number(), message: z.string() })).default([]),
  result: z.unknown(),
});
const Zones = z.array(z.object({ id: z.string(), name: z.string() }));
const Records = z.array(z.object({ id: z.string(), name: z.string(), content: z.string() }));

interface Request {
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  query?: Record<string, string>;
  body?: unknown;
  /** Errors that mean that there is nothing left to do; the result is null then. */
  accept?: readonly number[];
}

export function cloudflare(
  { token, zoneId, url }: DnsProvider & { type: 'cloudflare' },
  context: DnsProviderContext,
): DnsProviderActions {
  /** Zones do not change their id; one that is not there is looked for again. */
  const zoneIds = new Map<string, string>();

  async function ask({ method, path, query = {}, body, accept = [] }: Request): Promise<unknown> {
    if (token === undefined) throw new DnsProviderError(`${who} has no token set`);
    const address = new URL(`${url.replace(/\/+$/, '')}${path}`);
    for (const [name, value] of Object.entries(query)) address.searchParams.set(name, value);
    const { status, text, retryAfterMs, passing } = await callProvider({
      who,
      method,
      url: address,
      headers: { authorization: `Bearer ${token}` },
      body,
      context,
    });
    const answer = Answer.safeParse(parseJson(text));
    if (answer.success && answer.data.success && status < 300) return answer.data.result;
    const errors = answer.success ? answer.data.errors : [];
    if (errors.some(({ code }) => accept.includes(code))) return null;
    const said = errors.map(({ code, message }) => `${message} (${code})`).join('; ');
    throw new DnsProviderError(`${who} answered ${status}${quote(said || text, token)}`, {
      retryAfterMs,
      passing,
    });
  }

  async function findZoneId(name: string): Promise<string> {
    if (zoneId !== undefined) return zoneId;
    const labels = name.split('.');
    const candidates = labels.slice(0, -1).map((_, from) => labels.slice(from).join('.'));
    for (const candidate of candidates) {
      const known = zoneIds.get(candidate);
      if (known !== undefined) return known;
    }
    // A label that begins with an underscore is no zone of its own.
    for (const candidate of candidates.filter((zone) => !zone.startsWith('_'))) {
      const result = await ask({ method: 'GET', path: '/zones', query: { name: candidate } });
      const [zone] = read(Zones, result);
      if (zone === undefined) continue;
      zoneIds.set(candidate, zone.id);
      return zone.id;
    }
    throw new DnsProviderError(`${who} shows no zone for ${name} to this token`);
  }

  return {
    async present({ name, value }: TxtRecord) {
      await ask({
        method: 'POST',
        path: `/zones/${encodeURIComponent(await findZoneId(name))}/dns_records`,
        body: { type: 'TXT', name, content: `"${value}"`, ttl: ttlSeconds },
        accept: recordExists,
      });
    },

    async remove({ name, value }: TxtRecord) {
      const path = `/zones/${encodeURIComponent(await findZoneId(name))}/dns_records`;
      const query = { type: 'TXT', name, per_page: '100' };
      const records = read(Records, await ask({ method: 'GET', path, query }));
      for (const record of records) {
        // Older records come without the quotation marks.
        if (record.content.replace(/^"(.*)"$/, '$1') !== value) continue;
        await ask({
          method: 'DELETE',
          path: `${path}/${encodeURIComponent(record.id)}`,
          accept: recordMissing,
        });
      }
    },
  };
}

function read<T>(schema: z.ZodType<T>, result: unknown): T {
  const parsed = schema.safeParse(result);
  if (parsed.success) return parsed.data;
  throw new DnsProviderError(`${who} answered in a form that is not its API's`, { cause: parsed.error });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
