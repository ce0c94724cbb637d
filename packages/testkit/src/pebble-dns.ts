import { Resolver } from 'node:dns/promises';
import { join } from 'node:path';
import { type Child, startChild } from './child.ts';
import { freePort } from './free-port.ts';

/** What the CA under test resolves names with. A change counts for the next query. */
export interface PebbleDns {
  /** `host:port`, UDP and TCP. */
  readonly address: string;
  addA(host: string, addresses: readonly string[]): Promise<void>;
  addAaaa(host: string, addresses: readonly string[]): Promise<void>;
  clearA(host: string): Promise<void>;
  /** Of every name that has no `A` of its own; null: none. 127.0.0.1 to begin with. */
  setDefaultA(address: string | null): Promise<void>;
  /** One more value at the name, as `_acme-challenge.example.com`. */
  setTxt(name: string, value: string): Promise<void>;
  clearTxt(name: string): Promise<void>;
  setCname(host: string, target: string): Promise<void>;
  clearCname(host: string): Promise<void>;
  addCaa(host: string, policies: readonly { tag: string; value: string }[]): Promise<void>;
  clearCaa(host: string): Promise<void>;
  setServfail(host: string): Promise<void>;
  clearServfail(host: string): Promise<void>;
}

/** pebble-challtestsrv's DNS alone, on loopback. */
export async function startPebbleDns(
  bin: string,
): Promise<{ dns: PebbleDns; child: Child; answers(): Promise<boolean> }> {
  const [port, managementPort] = await Promise.all([freePort(), freePort()]);
  const address = `127.0.0.1:${port}`;
  const silent = ['doh', 'http01', 'https01', 'tlsalpn01', 'defaultIPv6'].map((name) => `-${name}=`);
  const child = startChild({
    command: join(bin, 'pebble-challtestsrv'),
    args: ['-dnsserver', address, '-management', `127.0.0.1:${managementPort}`, ...silent],
  });
  const resolver = new Resolver({ timeout: 2_000, tries: 1 });
  resolver.setServers([address]);
  const dns = createDns(address, async (path, body) => {
    const response = await fetch(`http://127.0.0.1:${managementPort}/${path}`, {
      method: 'POST',
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`the DNS refuses ${path}: ${await response.text()}`);
  });
  return { dns, child, answers: async () => (await resolver.resolve4('ready.example.com')).length > 0 };
}

/** A DNS that is the test's own: it is changed where it was made. */
export function foreignDns(address: string): PebbleDns {
  return createDns(address, (path) =>
    Promise.reject(new Error(`${path}: the DNS at ${address} is the test’s own`)),
  );
}

function createDns(address: string, manage: (path: string, body: object) => Promise<void>): PebbleDns {
  // A name without its dot at the end is never found.
  const absolute = (name: string) => (name.endsWith('.') ? name : `${name}.`);
  return {
    address,
    addA: (host, addresses) => manage('add-a', { host: absolute(host), addresses }),
    addAaaa: (host, addresses) => manage('add-aaaa', { host: absolute(host), addresses }),
    clearA: (host) => manage('clear-a', { host: absolute(host) }),
    setDefaultA: (ip) => manage('set-default-ipv4', { ip: ip ?? '' }),
    setTxt: (host, value) => manage('set-txt', { host: absolute(host), value }),
    clearTxt: (host) => manage('clear-txt', { host: absolute(host) }),
    setCname: (host, target) => manage('set-cname', { host: absolute(host), target: absolute(target) }),
    clearCname: (host) => manage('clear-cname', { host: absolute(host) }),
    addCaa: (host, policies) => manage('add-caa', { host: absolute(host), policies }),
    clearCaa: (host) => manage('clear-caa', { host: absolute(host) }),
    setServfail: (host) => manage('set-servfail', { host: absolute(host) }),
    clearServfail: (host) => manage('clear-servfail', { host: absolute(host) }),
  };
}
