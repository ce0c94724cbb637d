import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { freePortsInARow, startUpstream, testFolder, waitFor } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import { getOverHttps } from './get-over-https.ts';
import { asOldNode, runLockstep, startLockstep } from './lockstep-process.ts';
import { upArgs } from './up-args.ts';

const host = 'shop.example.com';
const allUp = /Ctrl-C stops everything/;

t.test('a route once posted is served by every edge, through every way to stop and start', async (t) => {
  const folder = testFolder(t, {});
  const data = join(folder, 'data');
  const rootFile = join(data, 'ca', 'root.crt');
  const first = await freePortsInARow(7);
  const args = upArgs(first, folder);
  const upstream = await startUpstream((_, response) => response.end('from the upstream'));
  t.teardown(() => upstream.close());

  const bothServe = async (t: Test) => {
    for (const port of [first + 1, first + 2]) {
      t.equal(await getOverHttps(port, host, rootFile), '200 from the upstream');
    }
  };

  await t.test('SIGTERM to the launcher alone stops all of it, with exit code 0', async (t) => {
    const up = startLockstep(t, args, { nodeArgs: asOldNode });
    await up.seen(allUp);
    for (const name of ['secret-key', 'admin-token'])
      t.equal(statSync(join(data, name)).mode & 0o777, 0o600, name);
    t.equal(statSync(data).mode & 0o777, 0o700);

    const token = readFileSync(join(data, 'admin-token'), 'utf8').trim();
    const response = await fetch(`http://127.0.0.1:${first}/v1/routes`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', prefer: 'wait=60' },
      body: JSON.stringify({ hosts: [host], upstreams: [{ url: upstream.url }] }),
    });
    t.equal(response.status, 201);
    await bothServe(t);
    t.notMatch(up.output(), token, 'the token is in its file, not on the screen');
    t.match(up.output(), `--cacert ${rootFile} --resolve ${host}:${first + 1}:127.0.0.1`);

    const put = (path: string, body: object) =>
      fetch(`http://127.0.0.1:${first}/v1/${path}`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    const nowhere = `https://127.0.0.1:${first + 20}/dir`;
    await put('issuers/other', { directory: nowhere });
    t.equal((await put('settings', { issuers: ['other', 'internal'] })).status, 200);

    process.kill(up.pid, 'SIGTERM');
    t.strictSame(await up.closed, { code: 0, signal: null });
    t.match(up.output(), /\nstopped\n$/);
    await nobodyListens(first);
  });

  await t.test(
    'a second start on the same folder is one line and exit code 1; the first runs on',
    async (t) => {
      const env = { LOCKSTEP_SECRET_KEY: readFileSync(join(data, 'secret-key'), 'utf8').trim() };
      const up = startLockstep(t, args, { env });
      await up.seen(allUp);
      for (const pid of childrenOf(up.pid).flatMap((edge) => [edge, ...childrenOf(edge)]))
        t.notMatch(environmentOf(pid), /LOCKSTEP_|edge_/, 'the edges are not given the secret key');
      t.match(up.output(), /issuer +other, then internal CA, root /, 'the chain in force is shown');
      await bothServe(t);
      const second = await runLockstep(t, upArgs(await freePortsInARow(7), folder));
      t.match(second, { code: 1, output: /^lockstep: [^\n]*store\.db[^\n]*\n$/ });
      await bothServe(t);

      // As a terminal does it: the whole group, and an impatient second one at once.
      process.kill(up.pid, 'SIGINT');
      process.kill(up.pid, 'SIGINT');
      t.strictSame(await up.exited, { code: 0, signal: null });
      await nobodyListens(first);
    },
  );

  await t.test(
    'an edge that is killed is started again; killed itself, it leaves no edge behind',
    async (t) => {
      const up = startLockstep(t, args);
      await up.seen(allUp);
      const [edge] = childrenOf(up.pid);
      process.kill(edge!, 'SIGKILL');
      await up.seen(/SIGKILL\) and is started again/);
      await waitFor(async () => childrenOf(up.pid).length === 2 && (await bothReady(first)), {
        what: 'both edges to be ready again',
      });
      await bothServe(t);

      process.kill(up.pid, 'SIGKILL');
      await up.exited;
      await nobodyListens(first);
    },
  );

  await t.test(
    'after `keys rotate`, the next start changes to a new key, and keeps that alone',
    async (t) => {
      const file = join(data, 'secret-key');
      const oldKey = readFileSync(file, 'utf8');
      const rotate = ['keys', 'rotate', '--data-dir', data];
      t.match(await runLockstep(t, rotate), { code: 0, output: /start `lockstep up` again/ });
      t.match(await runLockstep(t, rotate), { code: 1, output: /has a new key already/ });
      const [newKey, ...older] = readFileSync(file, 'utf8').trim().split('\n');
      t.same(older, [oldKey.trim()]);
      t.equal(statSync(file).mode & 0o777, 0o600);
      const up = startLockstep(t, args);
      await up.seen(/everything is sealed with the key/);
      await bothServe(t);
      await waitFor(() => readFileSync(file, 'utf8') === `${newKey}\n`, {
        what: 'the old key to be removed',
      });
      process.kill(up.pid, 'SIGTERM');
      t.match(await up.closed, { code: 0 });
    },
  );

  await t.test('another secret key is refused in one line, and nothing is left running', async (t) => {
    const env = { LOCKSTEP_SECRET_KEY: Buffer.alloc(32, 1).toString('base64') };
    const { code, output } = await runLockstep(t, args, { env });
    t.equal(code, 1);
    t.match(output.trimEnd().split('\n').at(-1), /^lockstep: the secret key is not the one/);
    await nobodyListens(first);
  });

  await t.test(
    'after all that, a start serves what was there; --demo adds its own route; a full disk costs the log',
    async (t) => {
      const logFile = join(data, 'lockstep.log');
      rmSync(logFile);
      symlinkSync('/dev/full', logFile);
      t.teardown(() => rmSync(logFile));
      const up = startLockstep(t, [...args, '--demo', '--log-level', 'trace'], { nodeArgs: asOldNode });
      await up.seen(allUp);
      await bothServe(t);
      t.match(up.output(), /the route is live/);
      for (const edge of ['edge-1', 'edge-2']) {
        t.match(
          up.output(),
          new RegExp(`${edge}  https://demo\\.localhost:\\d+/  200 Hello from the demo upstream`),
        );
      }
      // The launcher alone: the process that it started has to notice.
      process.kill(up.pid, 'SIGKILL');
      await up.exited;
      await nobodyListens(first);
    },
  );
});

t.test('a signal while it starts stops it as well', async (t) => {
  const up = startLockstep(t, upArgs(await freePortsInARow(7), testFolder(t, {})));
  await up.seen(/Starting 2 edges/);
  process.kill(up.pid, 'SIGINT');
  t.strictSame(await up.closed, { code: 0, signal: null });
  t.match(up.output(), /\nstopped\n$/);
});

async function bothReady(first: number): Promise<boolean> {
  const answers = await Promise.all(
    [first + 5, first + 6].map((port) => fetch(`http://127.0.0.1:${port}/readyz`)),
  );
  return answers.every(({ ok }) => ok);
}

function childrenOf(pid: number): number[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat='], { encoding: 'utf8' }).trim().split('\n');
  return lines
    .map((line) => line.trim().split(/\s+/))
    .filter(([, parent, state]) => Number(parent) === pid && !state!.startsWith('Z'))
    .map(([child]) => Number(child));
}

/** What a process was started with, as `ps` shows it. */
function environmentOf(pid: number): string {
  return execFileSync('ps', ['eww', '-o', 'command=', '-p', String(pid)], { encoding: 'utf8' });
}

/** All seven ports are free again. */
async function nobodyListens(first: number): Promise<void> {
  await waitFor(
    async () =>
      (await Promise.all(Array.from({ length: 7 }, (_, index) => refuses(first + index)))).every(Boolean),
    { what: 'every port to be free' },
  );
}

function refuses(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', () => resolve(true));
  });
}
