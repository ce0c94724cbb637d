import { AppError } from './app-error.ts';

export interface Address {
  host: string;
  port: number;
}

/** Reads `127.0.0.1:7400`, `[::1]:7400` or `:7400` (all interfaces). `what` names the setting in the error. */
export function parseAddress(input: string, what: string): Address {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]\s]*)):(\d{1,5})$/i.exec(input.trim());
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new AppError(
      'bad_configuration',
      `${what} "${input}" is not an address; it looks like 127.0.0.1:7400 or [::1]:7400`,
    );
  }
  return { host: match[1] ?? (match[2] || '::'), port };
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether an address carries no secret in its user part. True for what is no address: that is for another check to say. */
export function hasNoUser(url: string): boolean {
  if (!URL.canParse(url)) return true;
  const { username, password } = new URL(url);
  return username === '' && password === '';
}
