import { Resolver } from 'node:dns/promises';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type Child, startChild } from './child.ts';
import { cacheFolder, fetchDebianPackages } from './debian-package.ts';
import { freePort } from './free-port.ts';
import { createLocalhostCertificate } from './localhost-certificate.ts';
import { waitFor } from './wait-for.ts';

export interface Pebble {
  /** The ACME directory's https URL. */
  readonly directory: string;
  /** PEM of the CA of Pebble's own HTTPS listener; `rootFile` is a file that holds it. */
  readonly rootPem: string;
  readonly rootFile: string;
  /** PEM of the root that issued certificates lead to; the intermediate comes with each chain. */
  issuingRoots(): Promise<string>;
  /** How many orders were made so far. */
  orderCount(): number;
  /** What Pebble wrote so far, by line. */
  readonly log: readonly string[];
  close(): Promise<void>;
}

export interface PebbleOptions {
  /** Where it connects to validate HTTP-01 and TLS-ALPN-01: every name is 127.0.0.1. */
  httpPort: number;
  tlsPort?: number;
  /** With it, an account needs this external account binding; `hmacKey` is base64url. */
  eab?: { kid: string; hmacKey: string };
  /** Pebble's own variables, as PEBBLE_WFE_NONCEREJECT (percent of nonces refused; its default stays on). */
  env?: Record<string, string>;
}

/** A Pebble of the test's own with ARI and profiles, and its DNS, on loopback. Resolves when both answer. */
export async function startPebble(options: PebbleOptions): Promise<Pebble> {
  const bin = join(await fetchPebble(), 'usr/bin');
  const dir = await mkdtemp(join(tmpdir(), 'lockstep-pebble-'));
  try {
    const rootPem = await writeListenerCertificate(dir);
    for (let attempt = 1; ; attempt++) {
      const children: Child[] = [];
      try {
        const started = await start({ bin, dir, rootPem, options, children });
        return { ...started, rootPem, rootFile: join(dir, 'root.pem'), issuingRoots, close };

        function issuingRoots(): Promise<string> {
          return fetchText(`${started.management}/roots/0`, rootPem);
        }

        async function close(): Promise<void> {
          await Promise.all(children.map((child) => child.signal('SIGKILL')));
          await rm(dir, { recursive: true, force: true });
        }
      } catch (error) {
        await Promise.all(children.map((child) => child.signal('SIGKILL')));
        const taken = children.some(({ log }) => log.some((line) => line.includes('address already in use')));
        if (!taken || attempt === 5) throw error;
      }
    }
  } catch (error) {
    await rm(dir, { recursive: true, force: true });
    throw error;
  }
}

/** Debian's Pebble, fetched once. The stable suites' lacks ARI and profiles. */
export async function fetchPebble(): Promise<string> {
  const into = cacheFolder('pebble');
  await fetchDebianPackages({ packages: ['pebble'], suite: 'unstable', into });
  return into;
}

interface Launch {
  bin: string;
  dir: string;
  rootPem: string;
  options: PebbleOptions;
  /** Takes what was started, for the caller to end. */
  children: Child[];
}

async function start({ bin, dir, rootPem, options, children }: Launch) {
  const [acmePort, managementPort, dnsPort, dnsManagementPort, unusedPort] = await Promise.all(
    Array.from({ length: 5 }, freePort),
  );
  const dnsserver = `127.0.0.1:${dnsPort}`;
  const { httpPort, tlsPort = unusedPort, eab, env = {} } = options;
  const config = join(dir, 'pebble.json');
  const pebbleConfig = {
    listenAddress: `127.0.0.1:${acmePort}`,
    managementListenAddress: `127.0.0.1:${managementPort}`,
    certificate: join(dir, 'listener.pem'),
    privateKey: join(dir, 'listener.key'),
    httpPort,
    tlsPort,
    keyAlgorithm: 'ecdsa',
    retryAfter: { authz: 1, order: 1 },
    externalAccountBindingRequired: eab !== undefined,
    ...(eab && { externalAccountMACKeys: { [eab.kid]: eab.hmacKey } }),
    profiles: {
      default: { description: '90 days', validityPeriod: 90 * 86_400 },
      shortlived: { description: '160 hours', validityPeriod: 160 * 3_600 },
    },
  };
  await writeFile(config, JSON.stringify({ pebble: pebbleConfig }));

  const silent = ['doh', 'http01', 'https01', 'tlsalpn01', 'defaultIPv6'].map((name) => `-${name}=`);
  const dns = startChild({
    command: join(bin, 'pebble-challtestsrv'),
    args: ['-dnsserver', dnsserver, '-management', `127.0.0.1:${dnsManagementPort}`, ...silent],
  });
  children.push(dns);
  const pebble = startChild({
    command: join(bin, 'pebble'),
    args: ['-config', config, '-dnsserver', dnsserver],
    env: { PEBBLE_VA_NOSLEEP: '1', ...env },
  });
  children.push(pebble);

  const resolver = new Resolver({ timeout: 500, tries: 1 });
  resolver.setServers([dnsserver]);
  await ready(dns, 'its DNS', async () => (await resolver.resolve4('ready.example.com')).length > 0);
  const directory = `https://localhost:${acmePort}/dir`;
  const management = `https://localhost:${managementPort}`;
  // It writes that it listens a moment before it does.
  await ready(pebble, 'Pebble', async () => {
    const answers = await Promise.all([
      fetchText(directory, rootPem),
      fetchText(`${management}/roots/0`, rootPem),
    ]);
    return answers.every((answer) => answer !== '');
  });
  return {
    directory,
    management,
    log: pebble.log,
    orderCount: () => pebble.log.filter((line) => / Added order "[^"]+" to the db/.test(line)).length,
  };
}

/** What Pebble's listener shows, in files as it takes it. Gives back the CA's certificate. */
async function writeListenerCertificate(dir: string): Promise<string> {
  const { chain, keyPem, rootPem } = await createLocalhostCertificate();
  await Promise.all([
    writeFile(join(dir, 'listener.pem'), chain),
    writeFile(join(dir, 'listener.key'), keyPem),
    writeFile(join(dir, 'root.pem'), rootPem),
  ]);
  return rootPem;
}

async function ready(child: Child, what: string, check: () => boolean | Promise<boolean>): Promise<void> {
  await waitFor(async () => child.ended() !== null || (await check()), { what: `${what} to answer` });
  if (child.ended() !== null) {
    throw new Error(`${what} ended (${child.ended()}): ${child.log.slice(-5).join(' | ')}`);
  }
}

function fetchText(url: string, ca: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, { ca, agent: false }, (response) => resolve(text(response))).on('error', reject);
  });
}
