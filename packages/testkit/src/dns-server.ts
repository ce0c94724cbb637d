import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Child, startChild } from './child.ts';
import { cacheFolder, fetchDebianPackages } from './debian-package.ts';
import { freePort } from './free-port.ts';
import { waitFor } from './wait-for.ts';

const run = promisify(execFile);
const host = '127.0.0.1';

export interface DnsServer {
  /** `127.0.0.1:5353`, UDP and TCP. */
  readonly address: string;
  readonly port: number;
  /** The key that may update every zone. */
  readonly tsig: { keyName: string; algorithm: TsigAlgorithm; secret: string };
  readonly log: readonly string[];
  /**
   * Changes records with BIND's own nsupdate, in one step: `add shop.example.test. 60 A 127.0.0.1`,
   * `delete shop.example.test. A` (nsupdate(1)). All of them belong to one zone.
   */
  change(...updates: string[]): Promise<void>;
  close(): Promise<void>;
}

export type TsigAlgorithm = 'hmac-sha256' | 'hmac-sha384' | 'hmac-sha512';

export interface DnsServerOptions {
  zones: readonly DnsZone[];
  algorithm?: TsigAlgorithm;
}

export interface DnsZone {
  name: string;
  /**
   * Lines of a zone file: `www A 192.0.2.1`. SOA is added; so are an NS and its address where the lines have no NS for `@`.
   * null: a zone that cannot be loaded, so that each of its names is answered SERVFAIL.
   */
  records: readonly string[] | null;
}

/**
 * A BIND of the test's own, on loopback. It answers with authority for its zones, follows CNAMEs from one into
 * another as a resolver does, and says of every other name that it does not exist: nothing leaves the machine.
 */
export async function startDnsServer({
  zones,
  algorithm = 'hmac-sha256',
}: DnsServerOptions): Promise<DnsServer> {
  const { tree, env } = await bindCommand();
  const dir = await mkdtemp(join(tmpdir(), 'lockstep-bind-'));
  const tsig = { keyName: 'test-key', algorithm, secret: randomBytes(32).toString('base64') };
  let child: Child | null = null;
  let port = 0;
  try {
    await writeZones(dir, zones);
    for (let attempt = 1; ; attempt++) {
      port = await freePort();
      const configuration = configure({ dir, zones, port, tsig });
      await writeFile(join(dir, 'named.conf'), configuration);
      const started = startChild({
        command: join(tree, 'usr/sbin/named'),
        args: ['-g', '-n', '1', '-c', join(dir, 'named.conf')],
        env,
        cwd: dir,
      });
      child = started;
      const has = (text: string) => started.log.some((line) => line.includes(text));
      await waitFor(() => started.ended() !== null || has('all zones loaded') || has('address in use'), {
        what: `named on ${host}:${port}`,
      });
      const end = started.ended();
      if (end === null && !has('address in use')) break;
      await started.signal('SIGKILL');
      if (!has('address in use') || attempt === 5) {
        throw new Error(`named ended (${end}): ${started.log.slice(-5).join(' | ')}`);
      }
    }
  } catch (error) {
    await child?.signal('SIGKILL');
    await rm(dir, { recursive: true, force: true });
    throw error;
  }
  const named = child;
  return {
    address: `${host}:${port}`,
    port,
    tsig,
    log: named.log,
    async change(...updates) {
      const script = join(dir, `update-${randomBytes(6).toString('hex')}`);
      await writeFile(
        script,
        [`server ${host} ${port}`, ...updates.map((update) => `update ${update}`), 'send', ''].join('\n'),
      );
      const key = `${algorithm}:${tsig.keyName}:${tsig.secret}`;
      await run(join(tree, 'usr/bin/nsupdate'), ['-t', '5', '-y', key, script], {
        env: { ...process.env, ...env },
      });
    },
    async close() {
      await named.signal('SIGKILL');
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Debian's BIND with the libraries that a small system lacks, fetched once; where that fails, the installed one. */
export async function bindCommand(): Promise<{ tree: string; env: Record<string, string> }> {
  const tree = cacheFolder('bind');
  try {
    await fetchDebianPackages({
      packages: [
        ...['bind9', 'bind9-libs', 'bind9-dnsutils'],
        ...['libedit2', 'libbsd0', 'libmd0', 'libfstrm0', 'libicu72', 'libjemalloc2', 'libjson-c5'],
        ...['libgssapi-krb5-2', 'libk5crypto3', 'libkeyutils1', 'libkrb5-3', 'libkrb5support0'],
        ...['liblmdb0', 'libmaxminddb0', 'libnghttp2-14', 'libprotobuf-c1', 'libuv1', 'libxml2'],
      ],
      // Names of libraries change from suite to suite; these binaries run on newer systems too.
      suite: 'bookworm',
      into: tree,
    });
  } catch (error) {
    await run('/usr/sbin/named', ['-v']).catch(() => {
      throw error;
    });
    return { tree: '/', env: {} };
  }
  const libraries = await readdir(join(tree, 'usr/lib'));
  const triplet = libraries.find((name) => name.endsWith('-linux-gnu'))!;
  const folders = [join(tree, 'usr/lib', triplet), join(tree, 'lib', triplet)];
  return { tree, env: { LD_LIBRARY_PATH: folders.join(':') } };
}

interface Configuration {
  dir: string;
  zones: readonly DnsZone[];
  port: number;
  tsig: DnsServer['tsig'];
}

function configure({ dir, zones, port, tsig }: Configuration): string {
  const files = zones.map(
    ({ name }) =>
      `zone "${name}" { type primary; file "${name}.zone"; allow-update { key "${tsig.keyName}"; }; };`,
  );
  return `
options {
  directory "${dir}";
  managed-keys-directory "${dir}";
  listen-on port ${port} { ${host}; };
  listen-on-v6 { none; };
  pid-file none;
  session-keyfile none;
  recursion yes;
  allow-recursion { any; };
  dnssec-validation no;
  empty-zones-enable no;
  notify no;
  check-names primary ignore;
  check-integrity no;
  max-cache-size 8M;
};
controls {};
key "${tsig.keyName}" { algorithm ${tsig.algorithm}; secret "${tsig.secret}"; };
zone "." { type primary; file "root"; };
${files.join('\n')}
`;
}

async function writeZones(dir: string, zones: readonly DnsZone[]): Promise<void> {
  const head = '$TTL 1\n@ SOA ns hostmaster 1 3600 600 86400 1\n';
  const ownServer = `@ NS ns\nns A ${host}\n`;
  await writeFile(join(dir, 'root'), head + ownServer);
  for (const { name, records } of zones) {
    if (records === null) continue;
    const servers = records.some((line) => /^@.*\sNS\s/i.test(line)) ? '' : ownServer;
    await writeFile(join(dir, `${name}.zone`), `${head}${servers}${records.join('\n')}\n`);
  }
}
