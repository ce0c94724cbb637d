import { once } from 'node:events';
import { connect } from 'node:net';
import { startRedis, startTroubledWay, startUpstream, testFolder, waitFor } from '@lockstep/testkit';
import t from 'tap';
import { startFleet } from './fleet/start-fleet.ts';

/** One command over a connection of its own, and its answer. */
async function ask(port: number, command: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(`${command}\r\n`);
  const [answer] = await once(socket.setEncoding('utf8'), 'data');
  socket.destroy();
  return answer;
}

t.test(
  'a fail-over tells which acknowledged writes it lost, and no edge passes for serving them',
  async (t) => {
    const upstream = await startUpstream();
    t.teardown(() => upstream.close());
    const primary = await startRedis({ args: ['--repl-diskless-sync-delay', '0'] });
    t.teardown(() => primary.close());
    const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(primary.port)] });
    t.teardown(() => replica.close());
    const way = await startTroubledWay(primary.port);
    t.teardown(() => way.close());
    const fleet = await startFleet(t, { dir: testFolder(t), storeUrl: way.url });
    const kept = ['a', 'b', 'c', 'd', 'e', 'f'];
    for (const id of kept) await fleet.putOnceStoreIsBack(id, `${id}.example.com`, upstream.url);
    const ca = await fleet.internalRoot();
    await waitFor(async () => (await ask(primary.port, 'WAIT 1 1000')).startsWith(':1'), {
      what: 'the replica to have all',
    });

    // From now on it hears nothing of the primary, which goes on answering.
    t.match(await ask(replica.port, 'REPLICAOF NO ONE'), /^\+OK/);
    const lost = ['x', 'y'];
    for (const id of lost) {
      const { body } = await fleet.putOnceStoreIsBack(id, `${id}.example.com`, upstream.url);
      t.match(body.status, { state: 'live', nodes: { live: 2, of: 2 } });
    }
    await primary.kill();
    way.target = replica.port;

    const { body } = await fleet.putOnceStoreIsBack('after', 'after.example.com', upstream.url);
    t.match(body.status, { state: 'live', nodes: { live: 2, of: 2, behind: [] } });
    for (const edge of fleet.edges)
      t.equal(
        (await fleet.get(edge, 'after.example.com', ca)).status,
        200,
        `${edge.node} serves what is live`,
      );
    const status = await waitFor(
      async () => {
        const { body } = await fleet.call('GET', '/v1/fleet');
        return body.inStep && body.history.wentBack.length > 0 && body;
      },
      { what: 'the history that went back to be told' },
    );
    const [went] = status.history.wentBack;
    for (const id of lost)
      t.ok(went.records.includes(`route/${id}`), `${id} is named: ${JSON.stringify(went)}`);
    for (const id of kept) t.notOk(went.records.includes(`route/${id}`), `${id} still stands`);
    t.ok(went.commits >= lost.length && went.to - went.from === went.commits);
    for (const id of lost) t.equal((await fleet.call('GET', `/v1/routes/${id}`)).status, 404);
  },
);
