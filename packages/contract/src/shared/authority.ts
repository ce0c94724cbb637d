import type { Fault } from './fault.ts';
import { hostOfAddress } from './host-address.ts';

/** The host that a request names. */
export interface Authority {
  /** As routes name it: lower case, without port and trailing dot; an IPv6 address in brackets, in its shortest form. */
  host: string;
  /** The same with the port, if one was given: what an upstream receives as Host. */
  authority: string;
}

const plainHost = /^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/;
const withPort = /^(\[[0-9a-f:.]{2,45}\]|[^:[\]]*)(?::([0-9]*))?$/;
const address = /^\[[0-9a-f:.]{2,45}\]$/;
const maxNameLength = 253;

/** Reads a Host field or `:authority` strictly: a name or an address, with or without a port, and nothing else (RFC 9110, section 7.2). */
export function readAuthority(text: string): Authority | Fault {
  if (plainHost.test(text) && text.length <= maxNameLength) return { host: text, authority: text };
  if (text === '') return { fault: 'the request names no host' };
  const [, name, port] = withPort.exec(text.toLowerCase()) ?? [];
  if (name === undefined) return { fault: 'the host is not a name with or without a port' };
  if (Number(port ?? 0) > 65_535 || (port ?? '').length > 5) return { fault: 'the port of the host is none' };
  const host = address.test(name) ? hostOfAddress(name) : name.endsWith('.') ? name.slice(0, -1) : name;
  if (host === null) return { fault: 'the host is not an IPv6 address' };
  if (!host.startsWith('[') && (!plainHost.test(host) || host.length > maxNameLength)) {
    return { fault: 'the host is not a name of letters, digits, hyphens and dots' };
  }
  return { host, authority: port === undefined || port === '' ? host : `${host}:${port}` };
}
