import { X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Route } from '@lockstep/contract';
import {
  freePort,
  startCaddy,
  startLockstep,
  startPebble,
  startUpstream,
  testFolder,
  waitFor,
} from '@lockstep/testkit';
import t from 'tap';
import { servedCertificate } from './fleet/served-certificate.ts';
import { startFleet } from './fleet/start-fleet.ts';

/** Of Pebble, which certmagic asks ten times in ten seconds at most, and of Caddy's own CA. */
const fromCa = 10;
const fromCaddy = Number(process.env.CADDY_HOSTS ?? 90);

const upstream = await startUpstream();
t.teardown(() => upstream.close());
const httpPorts = [await freePort(), await freePort()];
// Who has the names is not what this is about.
const pebble = await startPebble({ httpPort: httpPorts[0]!, env: { PEBBLE_VA_ALWAYS_VALID: '1' } });
t.teardown(() => pebble.close());
const dial = `127.0.0.1:${new URL(upstream.url).port}`;

const hosts = [
  ...Array.from({ length: fromCa }, (_, i) => `acme-${i}.example.com`),
  ...Array.from({ length: fromCaddy }, (_, i) => `own-${i}.example.net`),
];
const routes = hosts.map((host, index) => ({
  '@id': `tenant:${index}`,
  match: [{ host: [host] }],
  handle: [
    { handler: 'subroute', routes: [{ handle: [{ handler: 'reverse_proxy', upstreams: [{ dial }] }] }] },
  ],
  terminal: true,
}));
const caddy = await startCaddy({
  routes,
  automation: {
    policies: [
      {
        subjects: hosts.slice(0, fromCa),
        issuers: [
          {
            module: 'acme',
            ca: pebble.directory,
            email: 'ops@example.com',
            trusted_roots_pem_files: [pebble.rootFile],
          },
        ],
      },
      { issuers: [{ module: 'internal' }] },
    ],
  },
});
t.teardown(() => caddy.close());

t.test('what a real Caddy serves is imported, with its certificates, and no CA is asked', async (t) => {
  const inStorage = await waitFor(
    async () => {
      const found = certificatesOf(caddy.storage);
      return found.size === hosts.length ? found : null;
    },
    { what: 'Caddy to have a certificate for each host' },
  );
  const caddyApi = `127.0.0.1:${await freePort()}`;
  const fleet = await startFleet(t, {
    dir: testFolder(t),
    httpPorts,
    acme: {
      LOCKSTEP_ACME_DIRECTORY: pebble.directory,
      LOCKSTEP_ACME_CA_FILE: pebble.rootFile,
      LOCKSTEP_CADDY_API: caddyApi,
    },
  });
  const orders = pebble.orderCount();
  const lockstep = async (...args: string[]) => {
    const command = startLockstep([...`import caddy ${caddy.url} --api ${fleet.url}`.split(' '), ...args], {
      env: { LOCKSTEP_TOKEN: fleet.env.LOCKSTEP_ADMIN_TOKEN! },
    });
    const { code } = await command.closed;
    return { code, output: command.output() };
  };

  const plan = await lockstep();
  t.equal(plan.code, 0, 'the plan');
  t.match(plan.output, new RegExp(`^${hosts.length} routes\n[\\s\\S]*\n${hosts.length} certificates\n`));
  t.match(plan.output, /Nothing is done yet/);
  t.notMatch(plan.output, /Left out|without:|PRIVATE/);
  t.strictSame((await fleet.call('GET', '/v1/routes')).body.items, [], 'a plan does nothing');

  const applied = await lockstep('--apply', '--caddy-api', `http://${caddyApi}`);
  t.equal(applied.code, 0, 'applied');
  await waitFor(async () => (await states(fleet)).every((state) => state === 'live'), {
    what: 'each route to be live',
  });
  for (const edge of fleet.edges)
    for (const host of hosts) {
      const { fingerprint256 } = await servedCertificate(edge.https, host);
      if (fingerprint256 !== inStorage.get(host))
        t.fail(`${edge.node} serves another certificate for ${host}`);
    }
  t.equal(pebble.orderCount(), orders, 'no order was made');
  const { items } = (await fleet.call('GET', `/v1/certificates/${hosts[0]}/attempts`)).body;
  t.strictSame(items, [], 'nothing was tried');
  const { body } = await fleet.call('GET', `/v1/certificates/${hosts[0]}`);
  t.match(body, { origin: 'managed', renewal: null });
  t.ok(Date.parse(body.renewAt) > Date.now(), 'its renewal has a date');
  const [edge] = fleet.edges;
  const root = readFileSync(join(caddy.storage, 'pki/authorities/local/root.crt'), 'utf8');
  t.equal((await fleet.get(edge!, hosts.at(-1)!, root)).status, 200, 'and its requests are answered');

  const revisions = () =>
    Promise.all(
      ['routes', 'certificates', 'issuers', 'settings'].map(async (list) => {
        const { body } = await fleet.call('GET', `/v1/${list}`);
        return (body.items ?? [body]).map(({ revision }: { revision: number }) => revision);
      }),
    );
  const before = await revisions();
  const again = await lockstep('--apply', '--caddy-api', `http://${caddyApi}`);
  t.equal(again.code, 0, 'applied again');
  t.notMatch(again.output, / is shown at /);
  t.strictSame(await revisions(), before, 'once more changes nothing');

  const asked = await fetch(`http://${caddyApi}/config/apps/http/servers/srv0/routes`);
  t.strictSame(await asked.json(), routes, 'its admin API gives back what was in Caddy, in its order');
  const inside = '/id/tenant:0/handle/0/routes/0/handle/0/upstreams';
  const changed = await fetch(`http://${caddyApi}${inside}`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify([{ dial: '127.0.0.1:9' }]),
  });
  t.equal(changed.status, 200);
  const { body: first } = await fleet.call('GET', '/v1/routes?host=acme-0.example.com');
  t.match(first.items, [{ upstreams: [{ url: 'http://127.0.0.1:9' }] }], 'and takes its changes');
});

async function states(fleet: Awaited<ReturnType<typeof startFleet>>): Promise<string[]> {
  const found: string[] = [];
  for (let path: string | null = '/v1/routes?limit=100'; path !== null; ) {
    const { body }: { body: { items: Route[]; next: string | null } } = await fleet.call('GET', path);
    found.push(...body.items.map(({ status }) => status.state));
    path = body.next === null ? null : `/v1/routes?limit=100&cursor=${encodeURIComponent(body.next)}`;
  }
  return found;
}

/** Fingerprints by host, as they lie in Caddy's storage. */
function certificatesOf(storage: string): Map<string, string> {
  const files = readdirSync(storage, { recursive: true, encoding: 'utf8' });
  const found = files.filter((file) => file.startsWith('certificates/') && file.endsWith('.crt'));
  return new Map(
    found.map((file) => {
      const leaf = new X509Certificate(readFileSync(join(storage, file)));
      return [leaf.subjectAltName!.replace('DNS:', ''), leaf.fingerprint256];
    }),
  );
}
