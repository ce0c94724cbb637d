import { z } from 'zod';
import { readAuthority } from '../shared/authority.ts';
import { UpstreamTls } from './route/upstream-tls.ts';

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

const SocketUrl = z
  .string()
  .max(120) // what the kernel takes is 107 bytes
  .regex(/^unix:/)
  .transform((input, context) => {
    const path = input.replace(/^unix:(?:\/\/(?=\/))?/, '');
    if (/^\/[^\0/]/.test(path) && Buffer.byteLength(path) <= mostPathBytes) return `unix:${path}`;
    const message = `a socket is named by its absolute path of at most ${mostPathBytes} bytes, as in unix:/run/app.sock`;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });
const mostPathBytes = 107;

const Protocol = z.enum(['http1', 'h2', 'h2c']);

export const Upstream = z
  .strictObject({
    url: z
      .string()
      .max(2048)
      .transform((input, context) => {
        const parsed = (/^unix:/i.test(input) ? SocketUrl : UpstreamUrl).safeParse(input);
        if (parsed.success) return parsed.data;
        for (const { message } of parsed.error.issues) context.addIssue({ code: 'custom', message });
        return z.NEVER;
      })
      .describe(
        '`http://` or `https://` with a host and an optional port, or `unix:` and the path of a socket',
      ),
    protocol: Protocol.optional().describe(
      '`http1` (the default), `h2` (HTTP/2 over TLS) or `h2c` (HTTP/2 without): what gRPC needs',
    ),
    host: HostField.optional(),
    weight: z
      .int()
      .min(0)
      .max(1_000)
      .optional()
      .describe(
        'Its share of the requests beside those of the others; 0: only clients that stick to it. Left out: 1',
      ),
    backup: z.boolean().optional().describe('It gets requests only where no other upstream is healthy'),
    tls: UpstreamTls.optional(),
    proxyProtocol: z
      .union([z.literal(1), z.literal(2)])
      .optional()
      .describe(
        'Each connection begins with the client’s address, by this version of the PROXY protocol, and serves no other client',
      ),
  })
  .superRefine(({ url, host, tls, protocol, proxyProtocol }, context) => {
    const refuse = (field: string, message: string) =>
      context.addIssue({ code: 'custom', message, path: [field] });
    if (tls !== undefined && !url.startsWith('https:'))
      refuse('tls', 'is about TLS, which only an https:// upstream speaks; leave it out, or change url');
    if (protocol === 'h2' && !url.startsWith('https:'))
      refuse('protocol', 'h2 is spoken over TLS: name an https:// url, or take h2c');
    if (protocol === 'h2c' && url.startsWith('https:'))
      refuse('protocol', 'h2c is spoken without TLS: name an http:// url, or take h2');
    if (proxyProtocol !== undefined && (protocol === 'h2' || protocol === 'h2c'))
      refuse(
        'proxyProtocol',
        'tells of one client for each connection, and one of HTTP/2 carries the requests of many; leave it out, or take http1',
      );
    if (host === 'upstream' && url.startsWith('unix:'))
      refuse('host', 'cannot be "upstream": a socket has no name; give the name, or "keep"');
  })
  .meta({ id: 'Upstream' });
export type Upstream = z.infer<typeof Upstream>;

/** As it is shown. */
export const StoredUpstream = z
  .object({
    url: z.string(),
    protocol: Protocol.optional(),
    host: z.string().optional(),
    tls: z
      .object({
        ca: z.string().optional(),
        serverName: z.string().optional(),
        clientCertificate: z.string().optional(),
        verify: z.boolean().optional(),
      })
      .optional(),
    proxyProtocol: z.union([z.literal(1), z.literal(2)]).optional(),
    weight: z.int().optional(),
    backup: z.boolean().optional(),
  })
  .meta({ id: 'StoredUpstream' });
