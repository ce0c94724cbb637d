import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Child, startChild } from './child.ts';
import { cacheFolder, fetchDebianPackages } from './debian-package.ts';
import { freePort } from './free-port.ts';
import { createLocalhostCertificate } from './localhost-certificate.ts';
import { foreignDns, type PebbleDns, startPebbleDns } from './pebble-dns.ts';
import { createManagement, type PebbleManagement, send } from './pebble-management.ts';
import { waitFor } from './wait-for.ts';

export interface Pebble extends PebbleManagement {
  /** The ACME directory's https URL. */
  readonly directory: string;
  /** PEM of the CA of Pebble's own HTTPS listener; `rootFile` is a file that holds it. */
  readonly rootPem: string;
  readonly rootFile: string;
  /** How many orders, and accounts, were made so far: by its log, which may come a moment after its answer. */
  orderCount(): number;
  accountCount(): number;
  /** It has ARI and profiles: Debian unstable's has, the stable suites' have not. Tests of those say aloud that they are skipped. */
  readonly offersRenewalInfo: boolean;
  /** What it resolves names with. */
  readonly dns: PebbleDns;
  /** What Pebble wrote so far, by line. */
  readonly log: readonly string[];
  close(): Promise<void>;
}

export interface PebbleOptions {
  /** Where it connects to validate HTTP-01 and TLS-ALPN-01. Every name is 127.0.0.1, unless the DNS is told otherwise. */
  httpPort: number;
  tlsPort?: number;
  /** With it, an account needs this external account binding; `hmacKey` is base64url. */
  eab?: { kid: string; hmacKey: string };
  /** How long certificates last, in seconds, by profile; the first is the default. Left out: `default` (90 days) and `shortlived` (160 hours). */
  profiles?: Record<string, { description: string; validityPeriod: number }>;
  /** How many more roots the chains lead to. */
  alternateRoots?: number;
  /** Goes into each certificate; Pebble answers no OCSP itself. */
  ocspResponderUrl?: string;
  /** What CAA records call it; left out: `pebble.letsencrypt.org`. */
  caaIdentities?: readonly string[];
  /** Changes of the protocol that are yet to come. */
  strict?: boolean;
  /** `host:port` of a DNS of the test's own. */
  dnsServer?: string;
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
        return { ...started, rootPem, rootFile: join(dir, 'root.pem'), close };

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

/** Debian's Pebble, fetched once; where it cannot be had, the installed one, if there is one. The stable suites' lacks ARI and profiles. */
export async function fetchPebble(): Promise<string> {
  const into = cacheFolder('pebble');
  try {
    await fetchDebianPackages({ packages: ['pebble'], suite: 'unstable', into });
    return into;
  } catch (error) {
    await Promise.all(['pebble', 'pebble-challtestsrv'].map((name) => access(join('/usr/bin', name)))).catch(
      () => {
        throw error;
      },
    );
    return '/';
  }
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
  const { dnsServer, alternateRoots = 0, strict = false, env = {} } = options;
  const [acmePort, managementPort, unusedPort] = await Promise.all(Array.from({ length: 3 }, freePort));
  const config = pebbleConfig(dir, { tlsPort: unusedPort!, ...options });
  const listeners = {
    listenAddress: `127.0.0.1:${acmePort}`,
    managementListenAddress: `127.0.0.1:${managementPort}`,
  };
  const configFile = join(dir, 'pebble.json');
  await writeFile(configFile, JSON.stringify({ pebble: { ...config, ...listeners } }));

  const ownDns = dnsServer === undefined ? await startPebbleDns(bin) : null;
  if (ownDns !== null) children.push(ownDns.child);
  const dns = ownDns?.dns ?? foreignDns(dnsServer!);
  const pebble = startChild({
    command: join(bin, 'pebble'),
    args: ['-config', configFile, '-dnsserver', dns.address, `-strict=${strict}`],
    env: { PEBBLE_VA_NOSLEEP: '1', PEBBLE_ALTERNATE_ROOTS: String(alternateRoots), ...env },
  });
  children.push(pebble);
  if (ownDns !== null) await ready(ownDns.child, 'its DNS', ownDns.answers);

  const directory = `https://localhost:${acmePort}/dir`;
  const management = createManagement(`https://localhost:${managementPort}`, rootPem);
  // It writes that it listens a moment before it does.
  await ready(pebble, 'Pebble', async () => {
    await Promise.all([send(directory, { ca: rootPem }), management.issuingRoots()]);
    return true;
  });
  const { renewalInfo } = JSON.parse((await send(directory, { ca: rootPem })).body);
  const count = (line: RegExp) => pebble.log.filter((text) => line.test(text)).length;
  return {
    ...management,
    directory,
    dns,
    log: pebble.log,
    offersRenewalInfo: renewalInfo !== undefined,
    orderCount: () => count(/ Added order "[^"]+" to the db/),
    accountCount: () => count(/ There are now \d+ accounts in memory/),
  };
}

function pebbleConfig(dir: string, options: PebbleOptions & { tlsPort: number }): object {
  const { httpPort, tlsPort, eab, profiles = usualProfiles, ocspResponderUrl, caaIdentities } = options;
  return {
    certificate: join(dir, 'listener.pem'),
    privateKey: join(dir, 'listener.key'),
    httpPort,
    tlsPort,
    keyAlgorithm: 'ecdsa',
    retryAfter: { authz: 1, order: 1 },
    externalAccountBindingRequired: eab !== undefined,
    ...(eab && { externalAccountMACKeys: { [eab.kid]: eab.hmacKey } }),
    ...(ocspResponderUrl !== undefined && { ocspResponderURL: ocspResponderUrl }),
    ...(caaIdentities && { caaIdentities }),
    profiles,
  };
}

const usualProfiles = {
  default: { description: '90 days', validityPeriod: 90 * 86_400 },
  shortlived: { description: '160 hours', validityPeriod: 160 * 3_600 },
};

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
