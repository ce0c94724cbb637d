import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startChild, testFolder } from '@lockstep/testkit';
import t from 'tap';
import { copyCheckout } from './fleet/copy-checkout.ts';
import { startFleet } from './fleet/start-fleet.ts';

/* What CONTRIBUTING.md says of adding things, done to a copy of this checkout. A kind of records and an engine are added by tests of their own. */
const root = join(testFolder(t), 'copy');
const { edit, add } = await copyCheckout(root);
const contract = 'packages/contract/src';
const controlPlane = 'apps/control-plane/src';

const compiler = fileURLToPath(new URL('../node_modules/.bin/tsc', import.meta.url));

/** What the compiler says of the copy; nothing: all is well. */
async function compile(): Promise<string> {
  // Without the hooks that tap has every process of node load.
  const env = { PATH: process.env.PATH ?? '' };
  const child = startChild({ command: compiler, args: ['--project', root], env, onlyThese: true });
  const { code } = await child.closed;
  return code === 0 ? '' : child.output() || `ended with ${code}`;
}

t.test('a DNS provider that is described does not compile until somebody says what it does', async (t) => {
  await add(
    `${contract}/api/dns-providers/nodns.ts`,
    `import { z } from 'zod';
import type { ProviderFacts } from './provider-facts.ts';

export const nodns = {
  secret: 'token',
  owner: ['zone'],
  why: 'the token of the zone',
  schema: z.strictObject({ type: z.literal('nodns'), zone: z.string(), token: z.string().optional() }),
} as const satisfies ProviderFacts & { schema: z.ZodObject };
`,
  );
  const list = `${contract}/api/dns-provider.ts`;
  await edit(list, 'import type { P', "import { nodns } from './dns-providers/nodns.ts';\nimport type { P");
  await edit(list, 'rfc2136.schema]', 'rfc2136.schema, nodns.schema]');
  await edit(
    list,
    '    rfc2136.schema.omit(',
    '    nodns.schema.omit({ [nodns.secret]: true }),\n    rfc2136.schema.omit(',
  );
  await edit(list, '  cloudflare,\n', '  cloudflare,\n  nodns,\n');
  t.match(await compile(), /create-dns-provider\.ts.*nodns/s);

  await add(
    `${controlPlane}/dns/providers/nodns.ts`,
    `import type { DnsProvider } from '@lockstep/contract';
import type { DnsProviderActions } from './dns-provider-client.ts';

export function nodns(_config: DnsProvider & { type: 'nodns' }): DnsProviderActions {
  return { present: async () => {}, remove: async () => {} };
}
`,
  );
  const registry = `${controlPlane}/dns/providers/create-dns-provider.ts`;
  await edit(registry, 'import { rfc2136 }', "import { nodns } from './nodns.ts';\nimport { rfc2136 }");
  await edit(registry, '  cloudflare,\n', '  cloudflare,\n  nodns,\n');
  t.equal(await compile(), '');
});

t.test('a field of a route and an endpoint take the files that they are said to take', async (t) => {
  await edit(
    `${contract}/api/route/route-fields.ts`,
    'export const routeFields = {\n',
    "export const routeFields = {\n  note: { given: z.string().describe('For people').optional(), shown: z.string().optional() },\n",
  );
  t.match(await compile(), /records\/route\.ts.*note/s);
  await edit(`${contract}/records/route.ts`, '  challenge: true,\n', '  challenge: true,\n  note: true,\n');
  await add(
    `${contract}/api/greeting.ts`,
    `import { z } from 'zod';

export const Greeting = z.object({ text: z.string().describe('To be read aloud') }).meta({ id: 'Greeting' });
`,
  );
  await edit(
    `${contract}/schemas.ts`,
    "export * from './api/health.ts';",
    "export * from './api/greeting.ts';\nexport * from './api/health.ts';",
  );
  await add(
    `${controlPlane}/api/greeting.ts`,
    `import { Greeting, Problem } from '@lockstep/contract/schemas';
import type { ApiInstance } from './api-instance.ts';
import { needs } from './needs.ts';

export function greetingApi(app: ApiInstance): void {
  app.get('/greeting', {
    schema: {
      operationId: 'greet',
      summary: 'Greet',
      description: 'Greets whoever asks.',
      tags: ['system'],
      security: needs('settings:read'),
      response: { 200: Greeting, '4xx': Problem, '5xx': Problem },
    },
    handler: async () => ({ text: 'good morning' }),
  });
}
`,
  );
  const server = `${controlPlane}/api/server.ts`;
  await edit(
    server,
    'import { type KeysApiOptions',
    "import { greetingApi } from './greeting.ts';\nimport { type KeysApiOptions",
  );
  await edit(server, '      keysApi(api', '      greetingApi(api);\n      keysApi(api');
  t.equal(await compile(), '');
});

t.test('what was added works: over the API, and in what it says of itself', async (t) => {
  const fleet = await startFleet(t, { dir: testFolder(t), edges: 0, controlPlaneRoot: root });
  const greeting = await fleet.call('GET', '/v1/greeting');
  t.strictSame(greeting.body, { text: 'good morning' });

  const route = { hosts: ['shop.example.com'], upstreams: [{ url: 'http://127.0.0.1:9' }] };
  const made = await fleet.call('POST', '/v1/routes', { ...route, id: 'shop', note: 'by hand' });
  t.match(made.body, { note: 'by hand' });
  const patched = await fleet.call('PATCH', '/v1/routes/shop', { note: null });
  t.strictSame([patched.status < 300, patched.body.note], [true, undefined]);

  const dnsProvider = { type: 'nodns', zone: 'example.com', token: 'not to be shown' };
  const settings = await fleet.call('PATCH', '/v1/settings', { dnsProvider });
  t.equal(settings.status, 200);
  t.match(settings.body, { dnsProvider: { type: 'nodns', zone: 'example.com' } });
  t.notMatch(JSON.stringify(settings.body), /not to be shown/);

  const { body } = await fleet.call('GET', '/openapi.json');
  t.match(body, {
    paths: { '/v1/greeting': { get: { operationId: 'greet' } } },
    components: { schemas: { PutRoute: { properties: { note: { description: 'For people' } } } } },
  });
  t.match(JSON.stringify(body), /nodns/);
});
