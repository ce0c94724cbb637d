import { createSqliteStore } from '@lockstep/store';
import type t from 'tap';

/** A store where, after `meet`, the next two commits wait for each other: both have read by then what was there before either. */
export async function openMeetingStore(test: Pick<typeof t, 'teardown'>) {
  const store = createSqliteStore({ path: ':memory:' });
  test.teardown(() => store.close());
  await store.open({ create: true, expectedEpoch: null });
  let waiting: (() => void)[] | null = null;
  const meeting: typeof store = {
    ...store,
    async commit(commit) {
      const held = waiting;
      if (held !== null) {
        await new Promise<void>((resolve) => {
          held.push(resolve);
          if (held.length < 2) return;
          waiting = null;
          for (const go of held) go();
        });
      }
      return store.commit(commit);
    },
  };
  return {
    store: meeting,
    /** The same store as another process has it, which waits in no queue of this one's. */
    another: { ...meeting },
    meet() {
      waiting = [];
    },
  };
}
