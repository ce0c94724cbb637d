import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { testFolder } from '@lockstep/testkit';
import t from 'tap';

t.test('what is published installs into an empty folder, works there, and has its types', async (t) => {
  const folder = testFolder(t, { 'package.json': '{"type":"module"}' });
  const client = fileURLToPath(new URL('..', import.meta.url));
  const run = (command: string, args: string[]) =>
    execFileSync(command, args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  // As its page says.
  const made = run('npm', ['run', '--silent', 'tarball', '--prefix', client]).trim();
  const archive = join(client, '../..', made);
  t.teardown(() => rmSync(archive));
  run('npm', ['install', archive, '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error']);
  t.notMatch(
    readdirSync(join(folder, 'node_modules', '@lockstep')),
    ['contract'],
    'it brings no other workspace',
  );

  writeFileSync(
    join(folder, 'use.ts'),
    `import { createClient, LockstepError, type Route, verifyWebhook, type WebhookMessage } from '@lockstep/client';
const client = createClient({ url: 'http://127.0.0.1:9', token: 'x', retries: 0 });
const routes: AsyncIterable<Route> = client.routes.list({ host: 'shop.example.com' });
// @ts-expect-error a route has hosts
void (() => client.routes.create({ host: 'shop.example.com' }));
void ((one: WebhookMessage) => one.type === 'route.live' && one.data.hosts);
const error = await client.fleet().catch((error: unknown) => error);
console.log(typeof routes, error instanceof LockstepError, typeof verifyWebhook, (error as Error).message);
`,
  );
  const compilerOptions = {
    ...{ strict: true, target: 'es2023', module: 'nodenext', types: [] },
    lib: ['es2023', 'dom', 'dom.iterable'],
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['use.ts'] }));
  run(process.execPath, [createRequire(import.meta.url).resolve('typescript/bin/tsc')]);
  t.equal(
    run(process.execPath, ['use.js']),
    'object false function no answer from http://127.0.0.1:9: bad port\n',
  );
});
