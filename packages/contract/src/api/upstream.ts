import { z } from 'zod';
import { readAuthority } from '../shared/authority.ts';

/** Where requests of a route go: http or https, a host and an optional port, nothing else. */
export const UpstreamUrl = z
  .string()
  .max(2048)
  .transform((input, context) => {
    const fault = (detail: string) => {
      context.addIssue({ code: 'custom', message: detail });
      return z.NEVER;
    };
    let url: URL;
    try {
      url = new URL(input);
    } catch {
      return fault(`"${input.slice(0, 80)}" is not a URL; an upstream looks like http://10.0.0.7:3000`);
    }
    if (url.protocol !== 'http:' && url.protocol !== 'https:')
      return fault('an upstream begins with http:// or https://, as in http://10.0.0.7:3000');
    if (url.username !== '' || url.password !== '') return fault('an upstream carries no user or password');
    if (url.pathname !== '/' || url.search !== '' || url.hash !== '' || /[?#]/.test(input)) {
      return fault('an upstream is a scheme, a host and an optional port; it has no path, query or fragment');
    }
    // URL mends what looks like a slip: it has to be written as it is meant.
    if (!/^https?:\/\/[^\s/\\@]+\/?$/i.test(input))
      return fault('an upstream looks like http://10.0.0.7:3000');
    if (url.port === '0') return fault('nothing can listen on port 0');
    const authority = readAuthority(url.host);
    if ('fault' in authority) return fault(authority.fault);
    return url.origin;
  });

/** One that needs no more to be said of it than where it is. */
export const PlainUpstream = z.strictObject({ url: UpstreamUrl }).meta({ id: 'PlainUpstream' });

const HostField = z
  .string()
  .transform((input, context) => {
    if (input === 'keep' || input === 'upstream') return input;
    const read = readAuthority(input);
    if (!('fault' in read)) return read.authority;
    context.addIssue({ code: 'custom', message: `is "keep", "upstream" or a name: ${read.fault}` });
    return z.NEVER;
  })
  .describe(
    'The Host that it receives: the one the client named (`keep`, the default), that of `url` (`upstream`), or this name',
  );

export const Upstream = z
  .strictObject({ url: UpstreamUrl, host: HostField.optional() })
  .meta({ id: 'Upstream' });
export type Upstream = z.infer<typeof Upstream>;

/** As it is shown. */
export const StoredUpstream = z
  .object({ url: z.string(), host: z.string().optional() })
  .meta({ id: 'StoredUpstream' });
