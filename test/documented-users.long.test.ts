import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { deriveEdgeKey, generateSecretKey } from '@lockstep/pki';
import { freePort, startLockstep, startRedis, startUpstream, testFolder, waitFor } from '@lockstep/testkit';
import { Redis } from 'ioredis';
import t from 'tap';

t.test('a control plane and an edge need no more of Redis than their documented users may', async (t) => {
  const server = await startRedis();
  t.teardown(() => server.close());
  const admin = new Redis(server.url);
  t.teardown(() => admin.disconnect());
  const page = await readFile(new URL('../docs/install-an-edge.md', import.meta.url), 'utf8');
  for (const [, user, rights] of page.matchAll(/^user (\S+) (.+)$/gm)) {
    await admin.acl('SETUSER', user!, ...rights!.match(/\([^)]*\)|\S+/g)!);
  }
  const secretKey = generateSecretKey();
  const token = randomUUID();
  const dir = testFolder(t);
  const [api, https, http, edgeAdmin] = await Promise.all(Array.from({ length: 4 }, freePort));
  const start = (user: string, secrets: Record<string, string>, ...args: string[]) => {
    const child = startLockstep([...args, '--data-dir', join(dir, user)], {
      env: {
        LOCKSTEP_STORE: server.url.replace('redis://', `redis://${user}:PASSWORD@`),
        ...secrets,
      },
    });
    t.teardown(() => child.signal('SIGTERM'));
    return child;
  };
  const at = (port: number | undefined) => `127.0.0.1:${port}`;
  const secrets = { LOCKSTEP_SECRET_KEY: secretKey, LOCKSTEP_ADMIN_TOKEN: token };
  start('control-plane', secrets, 'control-plane', '--listen', at(api));
  const listeners = ['--https', at(https), '--http', at(http), '--admin', at(edgeAdmin)];
  const edge = start(
    'edge-1',
    { LOCKSTEP_EDGE_KEY: deriveEdgeKey(secretKey) },
    'edge',
    '--node',
    'edge-1',
    '--workers',
    '1',
    ...listeners,
  );
  const upstream = await startUpstream();
  t.teardown(() => upstream.close());
  const call = async (method: string, path: string, body?: unknown) => {
    const response = await fetch(`http://${at(api)}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', prefer: 'wait=60' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return (await response.json()) as { items: { state: string }[]; status: unknown };
  };
  await waitFor(async () => (await call('GET', '/v1/nodes')).items[0]?.state === 'live', {
    what: 'the edge',
  });
  for (const host of ['a.example.com', 'b.example.com']) {
    const route = await call('POST', '/v1/routes', { hosts: [host], upstreams: [{ url: upstream.url }] });
    t.match(route.status, { state: 'live', nodes: { live: 1, of: 1 } });
  }
  await edge.signal('SIGTERM');
  const denied = (await admin.acl('LOG')) as unknown[];
  t.same(denied, [], 'nothing was refused');
});
