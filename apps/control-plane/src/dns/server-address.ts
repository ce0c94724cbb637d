export interface ServerAddress {
  host: string;
  port: number;
}

/** Reads `192.0.2.53`, `ns1.example.com:5353`, `[2001:db8::53]:53` or, as the resolver writes it, `2001:db8::53`. */
export function parseServerAddress(input: string): ServerAddress {
  const match =
    /^\[([^\]]+)\](?::(\d+))?$/.exec(input) ??
    /^([^:]+)(?::(\d+))?$/.exec(input) ??
    /^([0-9a-f:.]+)$/i.exec(input);
  return { host: match?.[1] ?? input, port: Number(match?.[2] ?? 53) };
}

export function formatServerAddress({ host, port }: ServerAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
