import { randomUUID } from 'node:crypto';
import type { Position } from '@lockstep/contract';
import { createRedisStore } from '@lockstep/store';
import { startRedis, waitFor } from '@lockstep/testkit';
import { Redis } from 'ioredis';
import t from 'tap';
import { noteKeys } from '../conformance/note-keys.ts';
import { commitOf, putRoute, report } from '../conformance/records.ts';

t.test(
  'a history that went back is noticed by what a node knows, and no edge can make it so again',
  async (t) => {
    const server = await startRedis({ args: ['--appendonly', 'no'] });
    t.teardown(() => server.close());
    const admin = new Redis(server.url);
    t.teardown(() => admin.disconnect());
    const prefix = `test-${randomUUID()}`;
    const one = createRedisStore({ url: server.url, prefix });
    await one.open({ create: true, expectedEpoch: null });
    await one.commit(commitOf(putRoute('a')));
    const putBack = await noteKeys(admin, prefix);
    const last = await one.commit(commitOf(putRoute('b')));
    await one.close();
    await putBack();
    const fresh = createRedisStore({ url: server.url, prefix });
    t.teardown(() => fresh.close());
    const before = await fresh.open({ create: false, expectedEpoch: null });
    const epochAfter = async (applied: Position, until: (epoch: string | null) => boolean) => {
      let looks = 0;
      await waitFor(
        async () => {
          await fresh.reportNode(report('edge-1', { applied }));
          await fresh.listNodes();
          looks += 1;
          return until(fresh.epoch) || looks > 70;
        },
        { what: 'the control plane to notice', intervalMs: 100 },
      );
      return fresh.epoch;
    };
    const epoch = await epochAfter(last, (epoch) => epoch !== before);
    t.not(epoch, before);
    t.match(await fresh.listTurns(), [{ reason: 'went_back', kept: { number: 1 }, lost: last }]);
    const ahead = { ...(await fresh.head()), number: 1_000 };
    t.equal(await epochAfter(ahead, (now) => now !== epoch), epoch);
  },
);
