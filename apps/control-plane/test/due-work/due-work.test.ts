import type { StapleRecord } from '@lockstep/contract';
import { createSqliteStore } from '@lockstep/store';
import { waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { createDueWork, type DueWorkOptions } from '../../src/due-work/due-work.ts';

const log = pino({ level: 'silent' });
const lanes = { prompt: { slots: 4, shared: true }, later: { slots: 1, number: 1 } };
type Options = Partial<DueWorkOptions<'staple', keyof typeof lanes>>;

async function start(t: Test, { run = async () => true, ...options }: Options = {}) {
  const store = createSqliteStore({ path: ':memory:' });
  t.teardown(() => store.close());
  await store.open({ create: true, expectedEpoch: null });
  const begun: string[] = [];
  const work = createDueWork({
    store,
    kind: 'staple',
    lanes,
    run(lane, record, signal) {
      begun.push(record.id);
      return run(lane, record, signal);
    },
    groupOf: ({ url }) => url,
    idleMs: 50,
    elsewhereMs: 20,
    log,
    ...options,
  });
  t.teardown(() => work.close());
  async function put(id: string, { dueAt = Date.now(), lane = 0, url = 'http://one.test' } = {}) {
    const value: StapleRecord = {
      ...{ fingerprint256: '', url, response: null, nextUpdate: null, failures: 0, lastError: null },
      dueAt: new Date(dueAt).toISOString(),
    };
    const changes = [{ op: 'put', kind: 'staple', id, value, dueAt, lane } as const];
    const { number: revision } = await store.commit({ id: `${id}-${lane}-${dueAt}`, changes });
    return { kind: 'staple' as const, id, revision, value };
  }
  return { store, work, begun, put };
}

function never(signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(true)));
}

t.test('one group leaves slots to the others, and a full queue holds up no other', async (t) => {
  const { work, begun, put } = await start(t, { run: (_lane, _record, signal) => never(signal) });
  for (let index = 0; index < 10; index += 1) await put(`slow-${index}`);
  await put('other', { url: 'http://two.test' });
  await put('later', { lane: 1 });
  work.wake();
  await waitFor(() => begun.includes('other') && begun.includes('later'), { what: 'the others' });
  t.equal(begun.filter((id) => id.startsWith('slow')).length, 2);
  t.strictSame([work.running('prompt'), work.running('later')], [3, 1]);
});

t.test('what another process works on, or went wrong, is looked at again without a hint', async (t) => {
  const times = new Map<string, number>();
  const { begun, put } = await start(t, {
    async run(_lane, { id }) {
      times.set(id, (times.get(id) ?? 0) + 1);
      if (id === 'wrong') throw new Error('the store does not answer');
      return id !== 'elsewhere';
    },
  });
  await put('wrong');
  await put('elsewhere');
  await put('fine', { url: 'http://two.test' });
  const again = () => (times.get('wrong') ?? 0) > 1 && (times.get('elsewhere') ?? 0) > 1;
  await waitFor(again, { what: 'both again' });
  t.ok(begun.includes('fine'));
});

t.test('what is changed while it is worked on is taken up where it stands when that is over', async (t) => {
  const gate = Promise.withResolvers<boolean>();
  const seen: string[] = [];
  const { work, put } = await start(t, {
    idleMs: 3_600_000,
    async run(lane) {
      seen.push(lane);
      return lane === 'prompt' ? gate.promise : true;
    },
  });
  work.take('prompt', await put('one'));
  await put('one', { lane: 1 });
  work.hear('one', 'later');
  t.strictSame(seen, ['prompt']);
  gate.resolve(true);
  await waitFor(() => seen.length > 1, { what: 'the other queue' });
  t.equal(seen[1], 'later');
});

t.test(
  'nothing is taken up while it may not be, or once it is closed, which waits for what is',
  async (t) => {
    let may = false;
    let asked = 0;
    let ended = 0;
    const { work, begun, put } = await start(t, {
      may: () => {
        asked += 1;
        return may;
      },
      run: async (_lane, _record, signal) => {
        await never(signal);
        await new Promise((resolve) => setImmediate(resolve));
        ended += 1;
        return true;
      },
    });
    await put('one');
    work.wake();
    await waitFor(() => asked > 2, { what: 'looks' });
    t.strictSame(begun, []);
    may = true;
    work.wake();
    await waitFor(() => begun.length === 1, { what: 'it being taken up' });
    await work.close();
    t.equal(ended, 1);
    work.take('prompt', await put('two'));
    t.strictSame(begun, ['one']);
  },
);
