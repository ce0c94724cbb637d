import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAuthority, generateKeyPem, issueCertificate } from '@lockstep/pki';
import { freePortsInARow, startUpstream, testFolder } from '@lockstep/testkit';
import t from 'tap';
import { runLockstep, startLockstep } from './lockstep-process.ts';
import { startCommandHost } from './start-command-host.ts';
import { upArgs } from './up-args.ts';

t.test(
  'the commands that ask the API work beside `up` at once, and their exit codes tell scripts what came of it',
  async (t) => {
    const folder = testFolder(t, {});
    const env = { LOCKSTEP_CONFIG_DIR: join(folder, 'config'), EDITOR: 'sed -i s/upstream-1/upstream-2/' };
    const up = startLockstep(t, [...upArgs(await freePortsInARow(7), folder), '--edges', '1'], { env });
    await up.seen(/Ctrl-C stops everything/);
    const runAs = startCommandHost(t);
    const run = (...args: string[]) => runAs(args, { env });
    const runAlone = (...args: string[]) => runLockstep(t, args, { env });
    const json = async (...args: string[]) => JSON.parse((await run(...args, '--json')).output);
    const token = readFileSync(join(folder, 'data', 'admin-token'), 'utf8').trim();

    await t.test('`up` leaves a context that says where its token is, for its user alone', async (t) => {
      const file = join(folder, 'config', 'contexts.json');
      t.equal(statSync(file).mode & 0o777, 0o600);
      t.notMatch(readFileSync(file, 'utf8'), token);
      t.match((await run('context', 'ls')).output, /^\* +up +http:\/\/127\.0\.0\.1:\d+ +\S+admin-token$/m);
    });

    await t.test('a route is added, shown, changed, checked and deleted', async (t) => {
      const added = await runAlone(
        ...'route add shop.example.com --id shop --to http://upstream-1.example:3000 --tenant acme'.split(
          ' ',
        ),
        ...['--metadata', 'plan=pro', '--wait'],
      );
      t.strictSame(added, { code: 0, output: 'shop  shop.example.com  live\n' }, 'nothing moves in a pipe');
      t.match(await json('route', 'show', 'shop.example.com'), {
        id: 'shop',
        tenant: 'acme',
        metadata: { plan: 'pro' },
        status: { state: 'live' },
      });
      t.match(
        (await run('route', 'ls')).output,
        /^shop +shop\.example\.com +http:\/\/upstream-1\.example:3000 +live +1\/1$/m,
      );
      t.match(
        await runAs(['route', 'edit', 'shop'], {
          env: { ...env, EDITOR: '', VISUAL: '' },
        }),
        { code: 1, output: /no terminal to edit it in; say what is to change by flags/ },
      );
      t.match(await run('route', 'edit', 'shop'), { code: 0, output: /^shop / });
      t.match(await json('route', 'show', 'shop'), {
        upstreams: [{ url: 'http://upstream-2.example:3000' }],
      });
      t.equal((await run('route', 'edit', 'shop', '--path', '/api')).code, 0);
      t.match(await json('route', 'ls', '--host', 'shop.example.com'), [{ paths: ['/api'] }]);
      t.match(await run('route', 'check', 'shop'), { code: 0, output: /shop\.example\.com +ok / });
      t.match(await run('route', 'instructions', 'shop.example.com'), {
        code: 0,
        output: /^DNS records for shop\.example\.com\n=+\n\nNo DNS records are asked for\.\n/,
      });
      t.match((await json('route', 'instructions', 'shop', '--html')).instructions, /^<!doctype html>/);
      t.match(await run('doctor', 'shop.example.com'), { code: 0, output: /^✔ node edge-1: TLSv1\.3/m });
      t.match(await run('doctor', 'shop'), { code: 0, output: /^✔ route: shop is live at 1 of 1 nodes$/m });
      const narrow = (
        await run('token', 'add', 'acme', '--scope', 'routes:read', '--tenant', 'acme')
      ).output.trim();
      t.match(
        await runAs(['doctor', 'shop.example.com'], { env: { ...env, LOCKSTEP_TOKEN: narrow } }),
        { code: 0, output: /^✔ route: shop is live[\s\S]*^· nodes: not looked at: .*nodes:read/m },
        'a token that sees less finds what it can',
      );
      t.match(await runAlone('doctor'), { code: 0, output: /^✔ nodes: 1 of 1 are live and in step$/m });
      t.match(await run('route', 'rm', 'shop'), {
        code: 1,
        output: /Delete shop \(shop\.example\.com\)\? Say so with --yes/,
      });
      t.match(await run('route', 'rm', 'shop', '--yes'), { code: 0, output: 'deleted shop\n' });
    });

    await t.test('a token is made, printed once, used and revoked', async (t) => {
      const made = (await run('token', 'add', 'backend', '--scope', 'routes:read')).output.trim();
      t.match(made, /^lks_/);
      const use = (...args: string[]) => runAs(args, { env: { ...env, LOCKSTEP_TOKEN: made } });
      t.equal((await use('route', 'ls')).code, 0);
      t.match(await use('node', 'ls'), {
        code: 1,
        output: /nodes:read \(it is asked with the token of LOCKSTEP_TOKEN\)\n$/,
      });
      const id = made.split('_')[1];
      t.match(await run('token', 'rm', 'backend', '--yes'), { code: 0, output: `revoked ${id}\n` });
      t.match(await run('token', 'rm', 'backend', '--yes'), { code: 4, output: /by id or by name/ });
      t.equal((await use('route', 'ls')).code, 1);
    });

    await t.test('what happened is listed, and what happens is followed', async (t) => {
      t.match(
        (await run('events', '--type', 'route.*')).output,
        /Z {2}route\.deleted +shop {2}shop\.example\.com$/m,
      );
      t.match(
        (await run('events', '--since', '1h', '--type', 'route.created')).output,
        /^20.* route\.created +shop/,
      );
      t.match(await run('events', '--since', '2026-13-01'), { code: 1, output: /--since: .* is no date/ });
      const follower = startLockstep(
        t,
        ['events', '--follow', '--since', 'beginning', '--type', 'route.deleted', '--json'],
        { env },
      );
      await follower.seen(/"id":"shop"/);
      await run('route', 'add', 'gone.example.com', '--id', 'gone', '--to', 'http://127.0.0.1:3000');
      await run('route', 'rm', 'gone', '--yes');
      await follower.seen(/"id":"gone"/);
      t.equal(follower.output().trim().split('\n').length, 2);
    });

    await t.test('a certificate is brought, and given to another tenant without its key', async (t) => {
      const now = Date.now();
      const keyPem = await generateKeyPem();
      const authority = await createAuthority({ now });
      const lifetimeMs = 86_400_000;
      const chain = await issueCertificate({ authority, host: 'b.example.com', keyPem, lifetimeMs, now });
      writeFileSync(join(folder, 'b.pem'), chain);
      writeFileSync(join(folder, 'b.key'), keyPem);
      const files = ['--chain', join(folder, 'b.pem'), '--key', join(folder, 'b.key')];
      const { id } = await json('cert', 'upload', ...files, '--tenant', 'acme');
      const set = await run('cert', 'set', id, '--tenant', 'bakery', '--metadata', 'plan=pro');
      t.strictSame(set, { code: 0, output: `${id} is changed\n` });
      t.match(await json('cert', 'show', id), { tenant: 'bakery', metadata: { plan: 'pro' } });
      const bare = await json('cert', 'set', id, '--tenant', '', '--metadata', 'plan=');
      t.notOk('tenant' in bare || 'plan' in (bare.metadata ?? {}), 'an empty value goes');
      t.match(await run('cert', 'set', id), { code: 1, output: /give --tenant or --metadata/ });
    });

    await t.test('a webhook is made, tried and removed', async (t) => {
      const target = await startUpstream((_, response) => response.end());
      t.teardown(() => target.close());
      t.match(await run('webhook', 'add', target.url), { code: 1, output: /^lockstep: \/url: / });
      t.strictSame(await run('settings', 'set', 'webhookTargets=any'), {
        code: 0,
        output: 'webhookTargets: any\n',
      });
      const [id = '', secret] = (await run('webhook', 'add', target.url, '--type', 'route.*')).output
        .trim()
        .split('  ');
      t.match(secret, /^whsec_/);
      t.equal((await run('webhook', 'test', id)).code, 0);
      t.match((await run('webhook', 'ls')).output, / on$/m);
      t.match(await json('webhook', 'show', id), { id, status: { waiting: [] } });
      const [{ event }] = await json('webhook', 'deliveries', id);
      t.match(event, /^test-/);
      t.match((await run('webhook', 'set', id, '--off')).output, /disabled/);
      for (const since of ['2026-01-01', '3d'])
        t.match((await run('webhook', 'redeliver', id, '--since', since)).output, /^0 in line again/);
      for (const since of ['2026-13-01', 'yesterday'])
        t.match(await run('webhook', 'redeliver', id, '--since', since), {
          code: 1,
          output: /--since: .* is no date/,
        });
      t.match(await run('webhook', 'deliveries', id, '--limit', 'all'), { code: 1, output: /whole number/ });
      t.match(await run('webhook', 'rm', id, '--yes'), { code: 0, output: `removed ${id}\n` });
    });

    await t.test('an IPv6 address is the same host, however it is given', async (t) => {
      await run(
        'route',
        'add',
        '2001:DB8:0::9',
        '--id',
        'ip',
        '--to',
        'http://upstream-1.example:3000',
        '--wait',
      );
      t.match(await json('route', 'show', '2001:DB8:0::9'), { id: 'ip', hosts: ['[2001:db8::9]'] });
      t.match(
        (await run('doctor', '2001:DB8:0::9')).output,
        /^✔ DNS and CAA: [\s\S]*^✔ node edge-1: TLSv1\.3/m,
      );
      t.match(await json('cert', 'show', '2001:db8::9'), { id: '[2001:db8::9]', state: 'live' });
      t.equal((await run('route', 'rm', '2001:db8::9', '--yes')).code, 0);
    });

    await t.test('what is wrong is one line, and an exit code', async (t) => {
      t.match(await runAlone('route', 'show', 'nowhere.example.com'), {
        code: 4,
        output: 'lockstep: there is no route "nowhere.example.com", by id or by host\n',
      });
      t.match(await run('route', 'add', 'shop.example.com', '--to', 'ftp://x'), {
        code: 1,
        output: /^lockstep: \/upstreams\/0\/url: [^\n]+\n$/,
      });
      t.match(await run('route', 'ls', '--api', 'http://127.0.0.1:9'), {
        code: 1,
        output: /^lockstep: there is no token for http:\/\/127\.0\.0\.1:9; [^\n]+\n$/,
      });
      t.match(await run('doctor', 'nowhere.example.com'), {
        code: 5,
        output: /^✖ route: no route has the host/,
      });
      for (const args of ['shop.example.com', '--to http://127.0.0.1:3000'])
        t.match(await run('route', 'add', ...args.split(' ').filter(Boolean)), {
          code: 1,
          output: /^lockstep: it (has no host|leads nowhere)[^\n]*, as in `lockstep route add shop/,
        });
      t.match(await run('--json', 'route', 'ls'), { code: 1, output: /stands behind the command/ });
      t.match((await run('help', 'route', 'add')).output, /^Usage: lockstep route add /);
      t.match(await run('settings', 'set', 'edge.nothing=1'), {
        code: 1,
        output: /^lockstep: \/edge\/nothing: /,
      });
    });

    await t.test(
      '`apply` makes what files say, says so before, and changes nothing a second time',
      async (t) => {
        const file = join(folder, 'fleet.yaml');
        const route = (id: string) =>
          `  - id: ${id}\n    hosts: [${id}.example.com]\n    upstreams: [{ url: "http://10.0.0.1:3000" }]\n`;
        writeFileSync(
          file,
          `routes:\n${route('a')}${route('b')}settings:\n  edge: { timeouts: { connectMs: 1500 } }\n`,
        );
        const dry = await run('apply', '-f', file, '--dry-run');
        t.match(dry, { code: 6, output: /^create route a$/m });
        t.strictSame(await json('route', 'ls'), []);
        t.match(await runAlone('apply', '-f', file, '--yes'), { code: 0, output: /^made 3 changes$/m });
        t.equal(await json('settings', 'get', 'edge.timeouts.connectMs'), 1500);
        t.match(await run('apply', '-f', file), { code: 0, output: 'nothing is to be changed\n' });

        const taken = route('c').replace('c.example.com', 'a.example.com');
        writeFileSync(file, `settings: { waitingShare: 30 }\nroutes:\n${route('d')}${taken}`);
        for (const flag of ['--dry-run', '--yes'])
          t.match(await run('apply', '-f', file, flag), {
            code: 1,
            output: /^lockstep: route c: host "a\.example\.com" .* belongs to route "a"; nothing is made$/m,
          });

        writeFileSync(file, `routes:\n${route('b')}`);
        const pruned = await run('apply', '-f', file, '--prune', '--yes');
        t.match(pruned, { code: 0, output: /^delete route a$/m });
        const exported = join(folder, 'exported.yaml');
        writeFileSync(exported, (await run('export')).output);
        t.match(readFileSync(exported, 'utf8'), /^ {2}- id: b$/m);
        t.match(await run('apply', '-f', exported, '--prune'), {
          code: 0,
          output: 'nothing is to be changed\n',
        });

        writeFileSync(file, 'routes:\n  - hosts: [c.example.com]\n');
        t.match(await run('apply', '-f', file), {
          code: 1,
          output: `lockstep: ${file}: routes/0: it needs an id`,
        });
      },
    );

    await t.test('shells complete commands and flags', async (t) => {
      t.match((await runAlone('complete', '--', 'route', '')).output, /^check\t/m);
      for (const shell of ['bash', 'zsh', 'fish'])
        t.match((await run('completion', shell)).output, /lockstep complete --/, shell);
    });
  },
);
