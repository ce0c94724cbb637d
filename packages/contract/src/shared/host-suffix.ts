/** Whether a host, or a wildcard, is one of these names or below one of them. */
export function isWithinSuffixes(host: string, suffixes: readonly string[]): boolean {
  const name = host.startsWith('*.') ? host.slice(2) : host;
  return suffixes.some((suffix) => name === suffix || name.endsWith(`.${suffix}`));
}
