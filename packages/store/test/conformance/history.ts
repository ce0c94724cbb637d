import { randomUUID } from 'node:crypto';
import { isAppError, type Position } from '@lockstep/contract';
import type { Change, Check, Commit, ConfigStore } from '@lockstep/store';
import fc from 'fast-check';
import type { Test } from 'tap';
import type { Backend } from './backend.ts';
import { createModel } from './model.ts';
import { putRoute, remove } from './records.ts';
import { contentOf, followView } from './view.ts';

const id = fc.constantFrom('a', 'b', 'c', 'd');
const host = fc.constantFrom('h1', 'h2', 'h3', 'h4', 'h5');
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.tuple(id, fc.uniqueArray(host, { maxLength: 2 })).map(([id, hosts]) => putRoute(id, hosts)),
  id.map((id) => remove('route', id)),
);
const changes = fc
  .uniqueArray(change, { minLength: 1, maxLength: 3, selector: (change) => change.id })
  .filter((all) => {
    const claims = all.flatMap((change) => (change.op === 'put' ? (change.claims ?? []) : []));
    return new Set(claims).size === claims.length;
  });
/** A step of one client: `check` names a record whose revision it reads first, or null. */
const step = fc.record({ changes, check: fc.option(id), absent: fc.boolean() });
export type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
export const clients = fc.array(fc.array(step, { minLength: 1, maxLength: 8 }), {
  minLength: 2,
  maxLength: 4,
});

export interface Done {
  commit: Commit;
  /** The head seen before it began, and after it ended: it took effect between them. */
  after: number;
  before: number;
  outcome: Position | string;
}

/** Commits until there is an answer: a commit whose fate is unknown is repeated under its id. */
export async function runClient(store: ConfigStore, steps: Step[]): Promise<Done[]> {
  const done: Done[] = [];
  for (const { changes, check, absent } of steps) {
    const checks: Check[] = [];
    if (check !== null) {
      const revision = absent ? null : ((await persist(() => store.get('route', check)))?.revision ?? null);
      checks.push({ kind: 'route', id: check, revision });
    }
    const commit: Commit = { id: randomUUID(), checks, changes };
    const after = (await persist(() => store.head())).number;
    const outcome = await persist(() => store.commit(commit)).catch((error) => {
      if (isAppError(error)) return error.code;
      throw error;
    });
    done.push({ commit, after, before: (await persist(() => store.head())).number, outcome });
  }
  return done;
}

async function persist<T>(call: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      if (!isAppError(error, 'store_unavailable') || attempt === 200) throw error;
    }
  }
}

/** Whether the outcomes are those of some order of the commits, which is the order of their revisions. */
export async function checkHistory(t: Test, store: ConfigStore, done: Done[]) {
  const model = createModel();
  const made = done.filter((one): one is Done & { outcome: Position } => typeof one.outcome !== 'string');
  made.sort((one, other) => one.outcome.number - other.outcome.number);
  made.forEach(({ commit, outcome, after, before }, index) => {
    if (outcome.number !== index + 1) throw new Error(`revision ${outcome.number} where ${index + 1} is due`);
    if (outcome.number <= after || outcome.number > before) throw new Error('took effect outside its call');
    const verdict = model.verdict(model.states.at(-1)!, commit);
    if (verdict !== null) throw new Error(`revision ${outcome.number} was made, and is ${verdict}`);
    model.make(commit);
  });
  for (const { commit, after, before, outcome } of done) {
    if (typeof outcome !== 'string') continue;
    const possible = model.states.slice(after, before + 1).map((state) => model.verdict(state, commit));
    if (!possible.some((verdict) => verdict === outcome)) {
      throw new Error(`refused with ${outcome}, where it was ${possible.join(', ')}`);
    }
  }
  t.same(await contentOf(store), model.content(), 'the records are the model’s');
  const claims = (await store.findClaims('', 100)).map(({ claim, kind, id }) => `${claim} → ${kind}/${id}`);
  t.same(claims.sort(), model.claims(), 'the claims are the model’s');
  return model;
}

export async function history(t: Test, backend: Backend): Promise<void> {
  await t.test(
    'random concurrent histories are those of one order, and followers see the same',
    async (t) => {
      await fc.assert(
        fc.asyncProperty(clients, async (plans) => {
          const { store, another } = await backend.bench(t);
          const view = followView(t, (await another()).follow, null);
          const stores = await Promise.all(plans.map(() => another()));
          const done = (await Promise.all(plans.map((steps, n) => runClient(stores[n]!, steps)))).flat();
          const model = await checkHistory(t, store, done);
          await view.reached(await store.head());
          await view.until(() => view.seen.includes('current'));
          t.same(view.records, model.content(), 'the follower has the model’s records');
          await view.close();
          await Promise.all([store, ...stores].map((one) => one.close()));
        }),
        { numRuns: 15 },
      );
    },
  );
}
