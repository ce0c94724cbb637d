import { createAddressRanges } from './address-ranges.ts';
import { AppError } from './app-error.ts';
import { addressOfHost, hostOfAddress } from './host-address.ts';

const maxNameLength = 253; // RFC 1035, section 2.3.4, without the trailing dot
const maxLabelLength = 63;
/** “This network”, groups and everybody at once (RFC 6890): nobody opens a connection to one. */
const unreachable = createAddressRanges(['0.0.0.0/8', '224.0.0.0/4', '255.255.255.255', '::', 'ff00::/8']);
const label = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/; // RFC 1123, section 2.1

/**
 * A host as Lockstep stores and compares it: lower case, A-labels (RFC 5890), no trailing dot, exact or `*.name`.
 * Throws `AppError('invalid_request')` whose detail says why. Public suffixes are the control plane's to refuse:
 * that takes a list.
 */
export function normaliseHost(input: string): string {
  return normalise(input, 'a name is needed here');
}

function normalise(input: string, insteadOfAddress: string): string {
  const host = input.trim().replace(/\.$/, '');
  const wildcard = host.startsWith('*.');
  const name = toAscii(wildcard ? host.slice(2) : host, input, insteadOfAddress);
  if ((wildcard ? name.length + 2 : name.length) > maxNameLength) {
    throw refuse(input, `is longer than ${maxNameLength} characters`);
  }
  for (const part of name.split('.')) {
    if (part === '') throw refuse(input, 'has an empty label');
    if (part.length > maxLabelLength)
      throw refuse(input, `has a label longer than ${maxLabelLength} characters`);
    if (part.includes('*'))
      throw refuse(input, 'may have `*` only as the whole first label, as in *.example.com');
    if (!label.test(part))
      throw refuse(input, `has a label that is not letters, digits and hyphens: "${part}"`);
  }
  return wildcard ? `*.${name}` : name;
}

/** The same, and an IP address too, which a route may be for: an IPv6 address in brackets. */
export function normaliseRouteHost(input: string): string {
  const host = hostOfAddress(input.trim());
  if (host === null) return normalise(input, 'write an address as 203.0.113.9 or [2001:db8::9]');
  if (unreachable.has(addressOfHost(host)!) || host.startsWith('[::ffff:'))
    throw refuse(input, 'is no address that clients connect to');
  return host;
}

/** `*.example.com` for `shop.example.com`: a wildcard stands for exactly one label (RFC 6125, section 6.4.3). */
export function wildcardOf(host: string): string | null {
  const dot = host.indexOf('.');
  return dot === -1 ? null : `*${host.slice(dot)}`;
}

function toAscii(name: string, input: string, insteadOfAddress: string): string {
  if (name === '') throw refuse(input, 'is empty');
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(name))
    throw refuse(
      input,
      'is an address with a scheme; give the host name alone, without what stands around it',
    );
  if (/^\[.*\]$/.test(name) || /^[0-9a-f:]*:[0-9a-f:.]*:[0-9a-f:.]*(?:%.*)?$/i.test(name)) {
    throw refuse(input, `is an IP address; ${insteadOfAddress}`);
  }
  if (name.includes(':')) throw refuse(input, 'has a port; give the name alone');
  if (/[\s/?#@\\%]/.test(name))
    throw refuse(input, 'is not a host name alone; leave out scheme, path and user');
  const ascii = isPlainAscii(name) ? name.toLowerCase() : processed(name, input);
  // After the processing, which makes plain digits of those in other forms.
  if (/(^|\.)(\d+|0x[0-9a-f]*)$/.test(ascii)) {
    const what = URL.canParse(`http://${ascii}`)
      ? 'is an IP address'
      : 'ends in a number, as an IP address does';
    throw refuse(input, `${what}; ${insteadOfAddress}`);
  }
  // A name that is ASCII throughout is passed through as it is; beside a label that is not, each A-label is checked.
  if (/(^|\.)xn--/.test(ascii) && processed(`ü.${ascii}`, input) !== `xn--tda.${ascii}`)
    throw refuse(input, 'has a label that begins with xn-- and stands for no valid one');
  return ascii;
}

/** UTS 46 processing, as browsers do it. */
function processed(name: string, input: string): string {
  try {
    return new URL(`http://${name}`).hostname;
  } catch (cause) {
    throw refuse(input, 'is not a valid internationalised name', cause);
  }
}

function isPlainAscii(name: string): boolean {
  return [...name].every((character) => character.charCodeAt(0) < 0x80);
}

function refuse(input: string, reason: string, cause?: unknown): AppError {
  const shown = input.length > 80 ? `${input.slice(0, 80)}…` : input;
  return new AppError('invalid_request', `host "${shown}" ${reason}`, { cause });
}
