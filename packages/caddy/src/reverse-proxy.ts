import type { Upstream } from '@lockstep/contract/schemas';
import { balance } from './balancing.ts';
import type { Draft } from './draft.ts';
import { changeFields } from './header-operations.ts';
import { checkHealth } from './health-checks.ts';
import type { Fault, Notes } from './notes.ts';
import { type Fields, fieldsAt, isFields, textAt, textsAt } from './read-json.ts';
import { rewritePath } from './rewrite.ts';
import { readTransport, type Spoken } from './transport.ts';

const understood = [
  'handler',
  'upstreams',
  'transport',
  'load_balancing',
  'health_checks',
  'headers',
  'rewrite',
];
/** What edges do anyway: answers go out as they come. */
const meaningless = [
  'flush_interval',
  'buffer_requests',
  'buffer_responses',
  'request_buffers',
  'response_buffers',
  'stream_close_delay',
  'stream_timeout',
  'max_buffer_size',
  'trusted_proxies',
  'verbose_logs',
  'stream_buffer_size',
  'copy_response',
];

/** Writes a `reverse_proxy` into the draft; null: done. */
export function proxy(draft: Draft, handler: Fields, at: string, notes: Notes): Fault | null {
  for (const name of ['handle_response', 'dynamic_upstreams'] as const)
    if (handler[name] !== undefined && handler[name] !== null)
      return { at: `${at}.${name}`, fault: 'cannot be carried, and what is behind it goes by its outcome' };
  notes.unread(handler, at, understood, meaningless);
  const spoken = readTransport(handler.transport, draft, `${at}.transport`, notes);
  if ('fault' in spoken) return spoken;
  const given = Array.isArray(handler.upstreams) ? handler.upstreams : [];
  if (given.length === 0)
    return { at: `${at}.upstreams`, fault: 'is empty: there is nowhere to send requests' };
  const upstreams: Upstream[] = [];
  for (const [index, one] of given.entries()) {
    const read = readUpstream(one, spoken, `${at}.upstreams.${index}`, notes);
    if ('fault' in read) return read;
    upstreams.push(read);
  }
  draft.fields.upstreams = upstreams;
  balance(draft, handler.load_balancing, `${at}.load_balancing`, notes);
  checkHealth(draft, handler.health_checks, `${at}.health_checks`, notes);
  const fault = sendFields(draft, handler.headers, upstreams, `${at}.headers`, notes);
  if (fault !== null || handler.rewrite === undefined) return fault;
  return rewritePath(draft, fieldsAt(handler.rewrite), `${at}.rewrite`);
}

function readUpstream(value: unknown, spoken: Spoken, at: string, notes: Notes): Upstream | Fault {
  if (!isFields(value)) return { at, fault: 'is no upstream' };
  notes.unread(value, at, ['dial']);
  const dial = textAt(value.dial);
  if (dial === null) return { at: `${at}.dial`, fault: 'is missing' };
  const url = urlOf(dial, spoken.secure);
  if (url === null)
    return {
      at: `${at}.dial`,
      fault: dial.includes('{')
        ? `"${dial}" is known only as a request comes`
        : `"${dial}" is no address of one upstream`,
    };
  const { protocol, proxyProtocol, tls } = spoken;
  return {
    url,
    ...(protocol !== undefined && { protocol }),
    ...(proxyProtocol !== undefined && { proxyProtocol }),
    ...(tls !== undefined && { tls }),
  };
}

/** `10.0.0.7:3000`, `:3000`, `tcp/10.0.0.7:3000` or `unix//run/app.sock`. */
export function urlOf(dial: string, secure: boolean): string | null {
  if (dial.includes('{')) return null;
  const [, network, address = dial] = /^([a-z0-9+]+)\/(.*)$/.exec(dial) ?? [];
  if (network === 'unix') return secure ? null : `unix:${address.replace(/\|.*$/, '')}`;
  if (network !== undefined && !/^tcp[46]?$/.test(network)) return null;
  const scheme = secure ? 'https' : 'http';
  const named = /^:\d+$/.test(address) ? `127.0.0.1${address}` : address;
  const url = `${scheme}://${named}`;
  return /^[^\s/?#@]+$/.test(named) && URL.canParse(url) ? new URL(url).origin : null;
}

/** `Host` is said of each upstream here; all else is a change of fields. */
function sendFields(
  draft: Draft,
  value: unknown,
  upstreams: Upstream[],
  at: string,
  notes: Notes,
): Fault | null {
  const headers = fieldsAt(value);
  notes.unread(headers, at, ['request', 'response']);
  const request = fieldsAt(headers.request);
  const set = fieldsAt(request.set);
  const name = Object.keys(set).find((one) => one.toLowerCase() === 'host');
  const host = name === undefined ? undefined : textsAt(set[name])?.[0];
  const { [name ?? '']: _, ...rest } = set;
  if (host !== undefined && !['{http.request.host}', '{http.request.hostport}'].includes(host)) {
    const ofUpstream = [
      '{http.reverse_proxy.upstream.hostport}',
      '{http.reverse_proxy.upstream.host}',
    ].includes(host);
    if (!ofUpstream && host.includes('{'))
      return { at: `${at}.request.set.${name}`, fault: `has "${host}", which stands for nothing here` };
    for (const upstream of upstreams) upstream.host = ofUpstream ? 'upstream' : host;
  }
  changeFields(draft, 'request', { ...request, set: rest }, `${at}.request`, notes);
  // `require` would have them changed in some answers alone.
  changeFields(draft, 'response', headers.response, `${at}.response`, notes);
  return null;
}
