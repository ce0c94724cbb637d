import { readdirSync } from 'node:fs';
import { type ClientHttp2Session, connect as connectH2, type SecureClientSessionOptions } from 'node:http2';
import { testFolder, waitFor } from '@lockstep/testkit';
import type { Test } from 'tap';
import { type ConfiguredStore, createConfiguredStore, type EdgeChange } from '../configured-store.ts';
import { type Answer, fetchThrough } from '../fetch-through.ts';
import { childrenOf, startTestEdge } from '../start-test-edge.ts';
import { connectRaw, type RawClient } from './raw-client.ts';
import { type RecordingUpstream, startRecordingUpstream } from './recording-upstream.ts';

/** What clients that mean no harm ask for, while others attack. */
const otherHost = 'other.example.com';
export const host = 'a.wild.example.com';

/** One edge in processes of its own in front of an upstream that records bytes, for all the cases of a file. */
export interface HostileEdge extends ConfiguredStore {
  readonly upstream: RecordingUpstream;
  readonly httpsPort: number;
  readonly httpPort: number;
  readonly adminPort: number;
  readonly workerPid: number;
  /** Opens a connection to the edge that ends with the case. */
  raw(options?: Parameters<typeof connectRaw>[1] | Record<string, never>): Promise<RawClient>;
  /** The same, an HTTP/2 session. */
  h2(options?: SecureClientSessionOptions): Promise<ClientHttp2Session>;
  /** A request of a well-behaved client on a connection of its own. */
  fetch(path?: string, options?: { host?: string; method?: string; body?: string }): Promise<Answer>;
  /** Settings in force at the edge from here on; nothing: the defaults. */
  settings(edge?: EdgeChange): Promise<void>;
  /** The value of a metric of the edge; the sum over its labels unless one is given, as in `reason="parse_error"`. */
  metric(name: string, label?: string): Promise<number>;
  /**
   * One case. Afterwards, with the attacker's connections still open, another client has to be served; and once they are closed, the
   * worker has to be the same process, and connections, sessions, tunnels, requests in flight and descriptors back where they were.
   */
  attack(t: Test, title: string, run: (t: Test) => Promise<void>): Promise<void>;
}

/** `secure`: the upstream speaks TLS. */
export async function startHostileEdge(
  t: Test,
  edgeSettings: EdgeChange = {},
  secure = false,
): Promise<HostileEdge> {
  const upstream = await startRecordingUpstream(t, secure);
  const to = [secure ? { url: upstream.url, tls: { verify: false } } : upstream.url];
  const configured = await createConfiguredStore();
  t.teardown(() => configured.close());
  // One certificate for all of its hosts: requests for any of them may come over one connection.
  await configured.serve('a', ['*.wild.example.com'], to);
  await configured.commit(configured.routeChange('a', [host, '*.wild.example.com'], to));
  await configured.serve('other', [otherHost], to);
  await configured.commit(configured.settingsChange(null, edgeSettings));
  const { edge, addresses } = await startTestEdge(t, configured, { dataDir: testFolder(t) });
  const [workerPid] = childrenOf(edge.pid!) as [number];
  const clients = new Set<{ close(): void }>();

  const at = { port: addresses.https.port, root: configured.root };
  const fetch: HostileEdge['fetch'] = (path = '/', options = {}) =>
    fetchThrough({ ...at, host, path, ...options });

  async function metrics(): Promise<string> {
    const answer = await globalThis.fetch(`http://127.0.0.1:${addresses.admin.port}/metrics`);
    return answer.text();
  }

  function valueIn(text: string, name: string, label = ''): number {
    let sum = 0;
    for (const line of text.split('\n')) {
      const match = /^lockstep_edge_(\w+)(\{[^}]*\})? (\S+)$/.exec(line);
      if (match?.[1] === name && (match[2] ?? '').includes(label)) sum += Number(match[3]);
    }
    return sum;
  }

  /** What an attack must not leave behind. Descriptors without those of the connections that the pool keeps to the upstream. */
  async function residue(): Promise<Record<string, number>> {
    const text = await metrics();
    const gauges = ['connections', 'http2_sessions', 'tunnels', 'requests_in_flight', 'held_handshakes'];
    const now = Object.fromEntries(gauges.map((name) => [name, valueIn(text, name)]));
    return { ...now, descriptors: readdirSync(`/proc/${workerPid}/fd`).length - upstream.open };
  }

  const answered = async () => (await fetch('/', { host: otherHost })).status;
  // The first requests open what stays open: IPC, the upstream's pool.
  await waitFor(async () => (await answered()) === 200, { what: 'the edge to serve', timeoutMs: 60_000 });
  const clean = (now: Record<string, number>) =>
    Object.entries(now).every(([name, value]) => name === 'descriptors' || value === 0);
  const before = await waitFor(
    async () => {
      const now = await residue();
      return clean(now) && now;
    },
    { what: 'the edge to be idle', timeoutMs: 60_000 },
  );

  return {
    ...configured,
    upstream,
    httpsPort: addresses.https.port,
    httpPort: addresses.http.port,
    adminPort: addresses.admin.port,
    workerPid,
    async raw(options = {}) {
      const client = await connectRaw(at.port, { servername: host, ca: at.root, ...options });
      clients.add(client);
      return client;
    },
    async h2(options = {}) {
      const session = connectH2(`https://${host}:${at.port}`, {
        ca: at.root,
        servername: host,
        lookup: (_name: string, _options: unknown, callback: (...args: unknown[]) => void) =>
          callback(null, [{ address: '127.0.0.1', family: 4 }]),
        ...options,
      } as SecureClientSessionOptions);
      session.on('error', () => {});
      clients.add({ close: () => session.destroy() });
      await new Promise((resolve, reject) => session.once('remoteSettings', resolve).once('error', reject));
      return session;
    },
    fetch,
    async settings(edge = {}) {
      const { number } = await configured.commit(configured.settingsChange(null, edge));
      await waitFor(async () => valueIn(await metrics(), 'applied_revision') >= number, {
        what: 'the settings to be in force',
        timeoutMs: 60_000,
      });
    },
    metric: async (name, label) => valueIn(await metrics(), name, label),
    async attack(t, title, run) {
      await t.test(title, async (t) => {
        upstream.reset();
        try {
          await run(t);
          t.equal(await answered(), 200, 'another client is served meanwhile');
        } finally {
          for (const client of clients) client.close();
          clients.clear();
        }
        t.same(childrenOf(edge.pid!), [workerPid], 'the worker is the same process');
        let now: Record<string, number> = {};
        await waitFor(
          async () => {
            now = await residue();
            return clean(now) && now.descriptors! <= before.descriptors!;
          },
          { what: 'nothing to be left', timeoutMs: 30_000 },
        ).catch(() => t.match(now, before, 'nothing is left'));
      });
    },
  };
}
