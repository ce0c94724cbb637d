import { isIP } from 'node:net';

/** Where an upstream is, read from its url. */
export interface UpstreamAddress {
  secure: boolean;
  /** A name, or an address without brackets; empty where there is a path. */
  hostname: string;
  port: number;
  /** Of a socket in the file system. */
  path: string | null;
}

export function upstreamAddressOf(url: string): UpstreamAddress {
  if (url.startsWith('unix:'))
    return { secure: false, hostname: '', port: 0, path: url.slice('unix:'.length) };
  const { protocol, hostname, port } = new URL(url);
  const secure = protocol === 'https:';
  return {
    secure,
    hostname: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port) || (secure ? 443 : 80),
    path: null,
  };
}

export function isName({ hostname, path }: UpstreamAddress): boolean {
  return path === null && isIP(hostname) === 0;
}
