import type { RotationRecord, Route } from '@lockstep/contract';
import { createSealers, deriveEdgeKey, generateSecretKey, keyIdOf } from '@lockstep/pki';
import { type Change, createRedisStore } from '@lockstep/store';
import { readSealed, testFolder, waitFor } from '@lockstep/testkit';
import t from 'tap';
import { startPebbleFleet } from './fleet/start-pebble-fleet.ts';

const hosts = Array.from({ length: 20 }, (_, index) => `shop-${index}.example.com`);
/** Enough that a control plane can be killed while it is at them. */
const accounts = 3_000;

t.test(
  'both keys are rotated under handshakes, with a control plane killed half-way: none fails, and the old keys open nothing',
  async (t) => {
    const { fleet, pebble, upstream } = await startPebbleFleet(t, { dir: testFolder(t), controlPlanes: 2 });
    const { controlPlanes, edges, env, edgeEnv } = fleet;
    const [oldKey, newKey] = [env.LOCKSTEP_SECRET_KEY, generateSecretKey()];
    const [old, alone] = [createSealers(oldKey), createSealers(newKey)];
    const store = createRedisStore({ url: env.LOCKSTEP_STORE, prefix: env.LOCKSTEP_STORE_PREFIX });
    t.teardown(() => store.close());
    await store.open({ create: false, expectedEpoch: null });
    const made = await Promise.all(hosts.map((host) => fleet.post(host, upstream.url)));
    t.ok(made.every(({ status }) => status === 201));
    const root = await pebble.issuingRoots();
    for (let at = 0; at < accounts; at += 400) {
      const ids = Array.from({ length: Math.min(400, accounts - at) }, (_, index) => `account-${at + index}`);
      const changes = ids.map((id): Change => {
        const sealedKey = old.controlPlanes.seal('a key', `account/${id}`);
        return { op: 'put', kind: 'account', id, value: { directory: '', accountUrl: null, sealedKey } };
      });
      await store.commit({ id: `accounts-${at}`, changes });
    }

    const useKeys = (keys: string) => {
      env.LOCKSTEP_SECRET_KEY = keys;
      edgeEnv.LOCKSTEP_EDGE_KEY = deriveEdgeKey(keys);
    };
    useKeys(`${newKey},${oldKey}`);
    for (const one of [...edges, controlPlanes[0]!]) {
      await one.process.signal('SIGTERM');
      await one.process.closed;
      await one.start();
    }
    const early = await fleet.call('POST', '/v1/keys/rotate');
    t.match(early, { status: 409, body: { detail: /control plane on/ } }, 'who lacks the new key is named');
    await controlPlanes[1]!.process.signal('SIGTERM');
    await controlPlanes[1]!.process.closed;
    await controlPlanes[1]!.start();

    let loaded = true;
    let answered = 0;
    const failures: unknown[] = [];
    const clients = edges.map(async (edge, index) => {
      for (let turn = index; loaded; turn += 1) {
        const answer = await fleet.get(edge, hosts[turn % hosts.length]!, root).catch((error) => error);
        if (answer.status === 200) answered += 1;
        else failures.push(answer);
      }
    });

    const added: string[] = [];
    const writer = (async () => {
      for (let turn = 0; loaded; turn += 1) {
        const host = `new-${turn}.example.com`;
        const body = { hosts: [host], upstreams: [{ url: upstream.url }] };
        const put = (index: number) =>
          fleet.call(
            'PUT',
            `/v1/routes/new-${turn}`,
            body,
            { prefer: 'wait=5' },
            controlPlanes[index % 2]!.url,
          );
        const answer = await put(turn).catch(() => put(turn + 1));
        if (answer.status < 300) added.push(host);
      }
    })();

    const stop = new AbortController();
    const halfWay = (async () => {
      const from = await store.head();
      for await (const event of store.follow(from, { kinds: ['rotation'], signal: stop.signal })) {
        const values =
          event.type === 'commit'
            ? event.entry.changes.flatMap((one) => (one.op === 'put' ? [one.value] : []))
            : [];
        for (const { left } of values as RotationRecord[])
          if (left !== null && left[old.controlPlanes.keyId]! < accounts * 0.7) return;
      }
    })();
    const begun = await store.head();
    t.equal((await fleet.call('POST', '/v1/keys/rotate')).status, 202);
    await halfWay;
    const victim = controlPlanes.find(({ process }) => process.output().includes('seals anew'))!;
    await victim.process.signal('SIGKILL');
    await victim.process.closed;
    stop.abort();
    const left = (await store.get('rotation', 'rotation'))?.value.left?.[old.controlPlanes.keyId];
    t.ok(left !== undefined && left > 0, `killed with ${left} of ${accounts} left`);
    const other = controlPlanes.find((one) => one !== victim)!;
    const keys = async () => (await fleet.call('GET', '/v1/fleet', undefined, {}, other.url)).body.keys;
    await waitFor(async () => (await keys()).secret.older.length === 0, {
      what: 'the other control plane to seal the rest',
      progress: () => other.process.output().length,
    });
    t.equal(await store.readLog(begun, 1), null, 'the log has nothing of before');
    const before = answered;
    await waitFor(() => answered > before + 4 * hosts.length, { what: 'more handshakes' });
    loaded = false;
    await Promise.all([...clients, writer]);
    t.ok(added.length > 0, `${added.length} routes were put meanwhile`);
    t.same(failures, [], `none of ${answered + failures.length} handshakes failed`);
    t.same(
      new Set((await readSealed(store)).map(({ sealed }) => keyIdOf(sealed))),
      new Set([alone.controlPlanes.keyId, alone.edges.keyId]),
    );

    const routes = async () =>
      (await fleet.call('GET', '/v1/routes?limit=1000', undefined, {}, other.url)).body.items as Route[];
    await waitFor(async () => (await routes()).every(({ status }) => status.state === 'live'), {
      what: 'the routes that were put meanwhile to be live',
      progress: () => pebble.orderCount(),
    });
    const needed = hosts.length + added.length;
    t.ok(pebble.orderCount() <= needed + 1, `${pebble.orderCount()} orders for ${needed} hosts and one kill`);

    useKeys(newKey);
    await other.process.signal('SIGTERM');
    await other.process.closed;
    for (const one of controlPlanes) await one.start();
    for (const edge of edges) {
      await edge.process.signal('SIGTERM');
      await edge.process.closed;
      await edge.start();
    }
    t.equal(
      (await fleet.post('last.example.com', upstream.url)).status,
      201,
      'with the new key alone all goes on',
    );
    for (const edge of edges) {
      const answers = await Promise.all(
        ['last.example.com', ...added, ...hosts].map((host) => fleet.get(edge, host, root)),
      );
      t.ok(
        answers.every(({ status }) => status === 200),
        `${edge.node} serves every host`,
      );
    }

    useKeys(oldKey);
    for (const one of [controlPlanes[0]!, edges[0]!]) {
      await one.process.signal('SIGTERM');
      await one.process.closed;
      await t.rejects(
        one.start(),
        { message: /wrong_secret_key|was sealed with the key/ },
        'the old key alone is refused',
      );
    }
  },
);
