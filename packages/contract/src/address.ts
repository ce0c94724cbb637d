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
