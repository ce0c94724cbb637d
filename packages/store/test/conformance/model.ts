import { type ErrorCode, recordKey } from '@lockstep/contract';
import type { Commit } from '@lockstep/store';

export interface Modelled {
  revision: number;
  value: unknown;
  claims: string[];
}

/** The store as it should be after each revision: `states[n]` is what revision n left. */
export function createModel() {
  const states: Map<string, Modelled>[] = [new Map()];

  /** The code a commit has to be refused with in that state, or null. */
  function verdict(state: Map<string, Modelled>, { checks = [], changes }: Commit): ErrorCode | null {
    for (const { kind, id, revision } of checks) {
      if ((state.get(recordKey(kind, id))?.revision ?? null) !== revision) return 'revision_conflict';
    }
    const changed = new Set(changes.map(({ kind, id }) => recordKey(kind, id)));
    const held = new Set([...state].filter(([key]) => !changed.has(key)).flatMap(([, { claims }]) => claims));
    for (const change of changes) {
      if (change.op === 'put' && change.claims?.some((claim) => held.has(claim))) return 'host_taken';
    }
    return null;
  }

  return {
    states,
    verdict,
    make({ changes }: Commit): void {
      const state = new Map(states.at(-1));
      const revision = states.length;
      for (const change of changes) {
        const key = recordKey(change.kind, change.id);
        if (change.op === 'delete') state.delete(key);
        else state.set(key, { revision, value: change.value, claims: change.claims ?? [] });
      }
      states.push(state);
    },
    content() {
      const entries = [...states.at(-1)!].map(
        ([key, { revision, value }]) => [key, { revision, value }] as const,
      );
      return Object.fromEntries(entries.sort(([one], [other]) => (one < other ? -1 : 1)));
    },
    claims() {
      return [...states.at(-1)!]
        .flatMap(([key, { claims }]) => claims.map((claim) => `${claim} → ${key}`))
        .sort();
    },
  };
}
