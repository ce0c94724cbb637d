/** The folder below `certificates` in which Caddy keeps what it got from an ACME directory: its address, with hyphens for slashes. */
export function storageKeyOf(directory: string): string {
  const { host, pathname } = new URL(directory);
  const path = pathname.replace(/^\/+|\/+$/g, '').replaceAll('/', '-');
  return safe(path === '' ? host : `${host}-${path}`);
}

/** As certmagic makes names of files. */
function safe(name: string): string {
  return name
    .toLowerCase()
    .trim()
    .replaceAll(' ', '_')
    .replaceAll('+', '_plus_')
    .replaceAll('*', 'wildcard_')
    .replaceAll(':', '-')
    .replaceAll('..', '')
    .replace(/[^\w@.-]/g, '');
}

/** The issuer that a folder of Caddy's storage belongs to; null where none of these is it. */
export function issuerOfStorage(
  folder: string,
  issuers: readonly { name: string; directory: string | null; type: string }[],
): string | null {
  if (folder === 'local') return issuers.find(({ type }) => type === 'internal')?.name ?? null;
  if (folder === 'zerossl' || folder === 'acme.zerossl.com-v2-dv90')
    return issuers.find(({ type }) => type === 'zerossl')?.name ?? null;
  const found = issuers.find(({ directory }) => directory !== null && storageKeyOf(directory) === folder);
  return found?.name ?? null;
}
