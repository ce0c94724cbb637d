import type { CaaRecord as NodeCaaRecord } from 'node:dns';
import { decode, encode, RECURSION_DESIRED } from 'dns-packet';
import type { ServerAddress } from './server-address.ts';
import { exchangeOverTcp } from './tcp-exchange.ts';

/** RFC 8659, section 4.1. */
export interface CaaRecord {
  flags: number;
  /** In lower case. */
  tag: string;
  value: string;
}

/** Node puts a record's value under its tag, beside `critical` (the flags) and `type`. */
export function readCaa(record: NodeCaaRecord): CaaRecord {
  const { critical, ...rest } = record as unknown as Record<string, string | number>;
  // A record whose tag is the word "critical" hides its flags: take them for the strictest.
  if (typeof critical !== 'number') return { flags: 128, tag: 'critical', value: String(critical) };
  const [tag, value] = Object.entries(rest).find(([key]) => key !== 'type') ?? ['type', ''];
  return { flags: critical, tag: tag.toLowerCase(), value: String(value) };
}

/** Asks the servers in turn, over TCP. Rejects with a code as node:dns does. */
export async function askForCaa(
  servers: readonly ServerAddress[],
  name: string,
  timeoutMs: number,
): Promise<CaaRecord[]> {
  const query = encode({
    type: 'query',
    id: Math.floor(Math.random() * 65_536),
    flags: RECURSION_DESIRED,
    questions: [{ type: 'CAA', name }],
  });
  let last: unknown;
  for (const server of servers) {
    try {
      const answer = await exchangeOverTcp(server, query, { timeoutMs });
      const { answers = [], rcode } = decode(answer) as ReturnType<typeof decode> & { rcode: string };
      if (rcode === 'NXDOMAIN') return [];
      if (rcode !== 'NOERROR') throw Object.assign(new Error(rcode), { code: `E${rcode}` });
      return answers.flatMap((record) =>
        record.type === 'CAA'
          ? {
              flags: record.data.flags ?? 0,
              tag: record.data.tag.toLowerCase(),
              value: record.data.value,
            }
          : [],
      );
    } catch (error) {
      last = error;
    }
  }
  throw last;
}
