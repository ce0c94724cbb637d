import type { DnsProvider } from '@lockstep/contract';
import { callProvider, quote } from './call-provider.ts';
import type { DnsProviderActions, DnsProviderContext, TxtRecord } from './dns-provider-client.ts';
import { DnsProviderError } from './dns-provider-error.ts';

const who = 'DNS provider acme-dns';

/**
 * acme-dns keeps the last two values of an account and forgets the oldest by itself, so there is nothing to remove. Setting a
 * value twice would push out the other one: it is looked for first.
 */
export function acmeDns(
  { url, username, password, subdomain }: DnsProvider & { type: 'acme-dns' },
  context: DnsProviderContext,
): DnsProviderActions {
  return {
    async present({ host, name, value }: TxtRecord) {
      if (password === undefined) throw new DnsProviderError(`${who} has no password set`);
      if (name.split('.')[0] !== subdomain) {
        context.log?.warn(
          { host, name, subdomain },
          'the CNAME record of _acme-challenge does not lead to the subdomain of the acme-dns account',
        );
      }
      // Where the DNS does not answer, setting it again is the lesser evil.
      if ((await context.lookup.txt(name).catch((): string[] => [])).includes(value)) return;
      const { status, text, retryAfterMs, passing } = await callProvider({
        who,
        method: 'POST',
        url: `${url.replace(/\/+$/, '')}/update`,
        headers: { 'x-api-user': username, 'x-api-key': password },
        body: { subdomain, txt: value },
        context,
      });
      if (status === 200) return;
      const hint =
        status === 401 ? ': check username, password, and the addresses the account may be used from' : '';
      throw new DnsProviderError(`${who} answered ${status}${quote(text, password)}${hint}`, {
        retryAfterMs,
        passing,
      });
    },
    async remove() {},
  };
}
