/** The host of a Host field or `:authority` as routes name it: lower case, without port and trailing dot. */
export function hostOf(authority: string): string {
  let end = authority.lastIndexOf(':');
  if (end === -1 || authority.charCodeAt(authority.length - 1) === 0x5d) end = authority.length;
  if (authority.charCodeAt(end - 1) === 0x2e) end -= 1;
  return (end === authority.length ? authority : authority.slice(0, end)).toLowerCase();
}
