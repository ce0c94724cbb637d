import { mostTicketKeys, recordKey, sessionTicketsId, ticketKeyBytes } from '@lockstep/contract';
import { createSealers, generateSecretKey } from '@lockstep/pki';
import { createSqliteStore } from '@lockstep/store';
import { waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { createChangeHub } from '../../src/changes/change-hub.ts';
import { createTicketKeys } from '../../src/session-tickets/ticket-keys.ts';

const hourMs = 3_600_000;
const sealer = createSealers(generateSecretKey()).edges;
const log = pino({ level: 'silent' });

async function start(t: Test) {
  const store = createSqliteStore({ path: ':memory:' });
  await store.open({ create: true, expectedEpoch: null });
  const hub = await createChangeHub({ store, log });
  const clock = { at: Date.now() };
  const make = async (sealedBy = sealer) => {
    const ticketKeys = await createTicketKeys({ store, sealer: sealedBy, hub, log, now: () => clock.at });
    t.teardown(() => ticketKeys.close());
    return ticketKeys;
  };
  t.teardown(async () => {
    await hub.close();
    await store.close();
  });
  const record = async () => (await store.get('session-tickets', sessionTicketsId))!;
  return { store, clock, make, record };
}

/** The keys of a record, the newest first. */
function keysOf({ value }: { value: { sealedKeys: string } }): string[] {
  const opened = sealer.open(value.sealedKeys, recordKey('session-tickets', sessionTicketsId));
  return (
    Buffer.from(opened, 'base64')
      .toString('hex')
      .match(new RegExp(`.{${2 * ticketKeyBytes}}`, 'g')) ?? []
  );
}

t.test(
  'control planes make one key of session tickets, and another every 12 hours; three are kept',
  async (t) => {
    const { clock, make, record } = await start(t);
    await Promise.all([make(), make()]);
    let before = keysOf(await record());
    t.equal(before.length, 1);
    for (let rotations = 1; rotations <= mostTicketKeys; rotations += 1) {
      const { revision, value } = await record();
      t.equal(Date.parse(value.dueAt) - Date.parse(value.madeAt), 12 * hourMs);
      clock.at += 12 * hourMs;
      // Whoever starts next finds it due; of those that run, one does it.
      const [one, other] = [await make(), await make()];
      const changed = await waitFor(
        async () => {
          const now = await record();
          return now.revision === revision ? null : now;
        },
        { what: 'another key' },
      );
      await Promise.all([one.close(), other.close()]);
      const keys = keysOf(await record());
      t.equal((await record()).revision, changed.revision, 'once');
      t.same(keys.slice(1), before.slice(0, mostTicketKeys - 1));
      t.notOk(before.includes(keys[0]!));
      before = keys;
    }
  },
);

t.test('keys that do not open, as somebody altered them, are replaced when they are due', async (t) => {
  const { clock, make, record } = await start(t);
  await (await make(createSealers(generateSecretKey()).edges)).close();
  clock.at += 12 * hourMs;
  await make();
  await waitFor(
    async () => {
      try {
        return keysOf(await record()).length === 1;
      } catch {
        return false;
      }
    },
    { what: 'keys that open' },
  );
});
