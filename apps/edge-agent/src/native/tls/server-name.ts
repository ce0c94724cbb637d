/** The dot at the end is not meant to be sent (RFC 6066, section 3), and changes nothing about which host is meant. */
export function hostOf(servername: string): string {
  const name = servername.toLowerCase();
  return name.endsWith('.') ? name.slice(0, -1) : name;
}
