import { readAuthority } from './authority.ts';

const ipv4 = /^\d{1,3}(\.\d{1,3}){3}$/;

/** The name in a Host field: in lower case, without port and trailing dot; null when the field is none. */
export function nameInHost(field: string): string | null {
  const read = readAuthority(field);
  return 'fault' in read ? null : read.host;
}

/**
 * Whether a request may name this host at an admin listener. A page in an operator's browser can make its own name lead to any
 * address (DNS rebinding), and then read what an admin listener shows without a token; but that name is what its browser sends. So only
 * addresses, `localhost` with what is below it, and `names` (such as the host that the listener was given) are answered.
 */
export function isAdminHost(name: string, names: readonly string[]): boolean {
  if (name.startsWith('[') || ipv4.test(name)) return true;
  if (name === 'localhost' || name.endsWith('.localhost')) return true;
  return names.some((own) => own.toLowerCase() === name);
}
