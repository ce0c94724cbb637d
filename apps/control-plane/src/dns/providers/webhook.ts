import type { DnsProvider } from '@lockstep/contract';
import { callProvider, quote } from './call-provider.ts';
import type { DnsProviderActions, DnsProviderContext, TxtRecord } from './dns-provider-client.ts';
import { DnsProviderError } from './dns-provider-error.ts';

const who = 'DNS provider webhook';

/** Leaves the record to a service of the operator's own. */
export function webhook(
  { url, secret }: DnsProvider & { type: 'webhook' },
  context: DnsProviderContext,
): DnsProviderActions {
  async function post(action: 'present' | 'remove', { host, name, value }: TxtRecord): Promise<void> {
    const { status, text, retryAfterMs, passing } = await callProvider({
      who,
      method: 'POST',
      url,
      headers: secret === undefined ? {} : { authorization: `Bearer ${secret}` },
      body: { action, host, name, value },
      context,
    });
    if (status >= 200 && status < 300) return;
    throw new DnsProviderError(`${who} answered ${status} to "${action}"${quote(text, secret)}`, {
      retryAfterMs,
      passing,
    });
  }
  return {
    present: (record) => post('present', record),
    remove: (record) => post('remove', record),
  };
}
