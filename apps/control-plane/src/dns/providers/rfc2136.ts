import type { DnsProvider } from '@lockstep/contract';
import { findZone } from '../propagation.ts';
import { parseServerAddress } from '../server-address.ts';
import { exchangeOverTcp } from '../tcp-exchange.ts';
import type { DnsProviderActions, DnsProviderContext, TxtRecord } from './dns-provider-client.ts';
import { DnsProviderError } from './dns-provider-error.ts';
import { serverFailed, signMessage, verifyAnswer } from './tsig.ts';
import { encodeUpdate } from './update-message.ts';

/** Dynamic update (RFC 2136), signed with TSIG (RFC 8945), over TCP. */
export function rfc2136(
  { server, zone: givenZone, keyName, algorithm, secret }: DnsProvider & { type: 'rfc2136' },
  { lookup, timeoutMs, signal }: DnsProviderContext,
): DnsProviderActions {
  const who = `DNS provider rfc2136 at ${server}`;

  async function update(action: 'add' | 'delete', { name, value }: TxtRecord): Promise<void> {
    if (secret === undefined) throw new DnsProviderError(`${who} has no secret set`);
    const zone = givenZone?.toLowerCase().replace(/\.$/, '') ?? (await findZone(lookup.at([server]), name));
    if (zone === null) throw new DnsProviderError(`${who} knows no zone for ${name}`);
    if (name !== zone && !name.endsWith(`.${zone}`)) {
      throw new DnsProviderError(`${who}: ${name} is not in the zone ${zone}`);
    }
    const key = { name: keyName, algorithm, secret: Buffer.from(secret, 'base64') };
    const { message, mac } = signMessage(encodeUpdate({ zone, name, value, action }), key, Date.now());
    const answer = await exchange(message);
    const fault = verifyAnswer({ answer, key, request: message, requestMac: mac, now: Date.now() });
    if (fault !== null)
      throw new DnsProviderError(`${who}: ${fault} (zone ${zone}, key ${keyName})`, {
        passing: fault === serverFailed,
      });
  }

  async function exchange(message: Buffer): Promise<Buffer> {
    try {
      return await exchangeOverTcp(parseServerAddress(server), message, { timeoutMs, signal });
    } catch (cause) {
      if (signal.aborted) throw new DnsProviderError(`${who}: stopped`, { cause, passing: true });
      const { name, code, message: said } = cause as Error & { code?: unknown };
      const late = name === 'AbortError' || name === 'TimeoutError';
      const reason = late
        ? `no answer within ${timeoutMs} ms`
        : `cannot be reached (${typeof code === 'string' ? code : said})`;
      throw new DnsProviderError(`${who}: ${reason}`, { cause, passing: true });
    }
  }

  return {
    present: (record) => update('add', record),
    remove: (record) => update('delete', record),
  };
}
