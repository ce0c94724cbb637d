import type { Draft } from './draft.ts';
import type { Notes } from './notes.ts';
import { durationMsAt, type Fields, fieldsAt, numberAt, textAt, textsAt } from './read-json.ts';

/** How the upstreams of a route are spoken to: goes into each of them. */
export interface Spoken {
  secure: boolean;
  protocol?: 'h2' | 'h2c';
  proxyProtocol?: 1 | 2;
  tls?: { ca?: string; serverName?: string; verify?: boolean };
}

const understood = [
  'protocol',
  'tls',
  'versions',
  'proxy_protocol',
  'dial_timeout',
  'response_header_timeout',
  'read_timeout',
  'max_conns_per_host',
];
/** What an edge does by itself, or means nothing to who asks. */
const meaningless = [
  'keep_alive',
  'compression',
  'dial_fallback_delay',
  'expect_continue_timeout',
  'read_buffer_size',
  'write_buffer_size',
  'max_response_header_size',
  'write_timeout',
];

/** Reads `transport` of a `reverse_proxy`; its times go into the draft. */
export function readTransport(
  value: unknown,
  draft: Draft,
  at: string,
  notes: Notes,
): Spoken | { fault: string; at: string } {
  if (value === undefined || value === null) return { secure: false };
  const transport = fieldsAt(value);
  const protocol = textAt(transport.protocol) ?? 'http';
  if (protocol !== 'http')
    return { at: `${at}.protocol`, fault: `"${protocol}" is not spoken; upstreams speak HTTP` };
  notes.unread(transport, at, understood, meaningless);
  keepTimes(transport, draft, at, notes);
  const versions = textsAt(transport.versions) ?? [];
  const proxied = textAt(transport.proxy_protocol);
  const spoken: Spoken = { secure: transport.tls !== undefined && transport.tls !== null };
  if (versions.includes('h2c')) spoken.protocol = 'h2c';
  else if (spoken.secure && versions.length > 0 && versions.every((one) => one === '2'))
    spoken.protocol = 'h2';
  else if (versions.includes('3')) notes.without(`${at}.versions`, 'HTTP/3 is not spoken to upstreams');
  if (proxied === 'v1' || proxied === 'v2') spoken.proxyProtocol = proxied === 'v1' ? 1 : 2;
  if (!spoken.secure) return spoken;
  const tls = readTls(fieldsAt(transport.tls), `${at}.tls`, notes);
  if ('fault' in tls) return tls;
  return { ...spoken, ...(Object.keys(tls).length > 0 && { tls }) };
}

function keepTimes(transport: Fields, draft: Draft, at: string, notes: Notes): void {
  const ms = {
    connectMs: 'dial_timeout',
    firstByteMs: 'response_header_timeout',
    idleMs: 'read_timeout',
  } as const;
  for (const [name, theirs] of Object.entries(ms)) {
    if (transport[theirs] === undefined) continue;
    const value = durationMsAt(transport[theirs]);
    if (value === null) notes.without(`${at}.${theirs}`, 'is no duration');
    else draft.fields.timeouts = { ...draft.fields.timeouts, [name]: value };
  }
  const connections = numberAt(transport.max_conns_per_host);
  if (connections !== null && connections > 0) draft.fields.limits = { ...draft.fields.limits, connections };
}

function readTls(
  tls: Fields,
  at: string,
  notes: Notes,
): NonNullable<Spoken['tls']> | { fault: string; at: string } {
  const read = ['server_name', 'insecure_skip_verify', 'ca', 'root_ca_pool'];
  for (const name of [
    'client_certificate_file',
    'client_certificate_key_file',
    'client_certificate_automate',
    'root_ca_pem_files',
    'except_ports',
  ])
    if (tls[name] !== undefined)
      return {
        at: `${at}.${name}`,
        fault: name.startsWith('client')
          ? 'bring the certificate with POST /v1/certificates, and name it in upstreams[].tls.clientCertificate'
          : 'cannot be carried; the PEM itself goes into upstreams[].tls.ca',
      };
  notes.unread(tls, at, read, ['handshake_timeout', 'renegotiation', 'curves']);
  const name = textAt(tls.server_name);
  if (name?.includes('{'))
    return { at: `${at}.server_name`, fault: `"${name}" is known only as a request comes` };
  const ca = fieldsAt(tls.ca);
  const provider = textAt(ca.provider);
  if (provider !== null && provider !== 'inline')
    return {
      at: `${at}.ca.provider`,
      fault: `"${provider}" cannot be carried; the PEM itself goes into upstreams[].tls.ca`,
    };
  const roots = textsAt(tls.root_ca_pool) ?? textsAt(ca.trusted_ca_certs) ?? [];
  const verify = tls.insecure_skip_verify !== true;
  return {
    ...(verify && roots.length > 0 && { ca: roots.map(pemOf).join('') }),
    ...(name !== null && { serverName: name }),
    ...(!verify && { verify: false }),
  };
}

/** Caddy keeps certificates as base64 of their DER. */
export function pemOf(base64: string): string {
  const lines = base64.replace(/\s+/g, '').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
