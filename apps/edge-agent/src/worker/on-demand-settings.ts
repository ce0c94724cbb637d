import type { OnDemand, SettingsRecord } from '@lockstep/contract';

export interface OnDemandSettingsOptions {
  onChange(onDemand: OnDemand | null): void;
}

/** What the fleet's settings say of names that no route names; off without settings. */
export interface OnDemandSettings {
  readonly now: OnDemand | null;
  revisionOf(id: string): number | null;
  put(id: string, revision: number, record: SettingsRecord): void;
  delete(id: string): void;
  ids(): Iterable<string>;
}

export function createOnDemandSettings({ onChange }: OnDemandSettingsOptions): OnDemandSettings {
  let held: { id: string; revision: number; onDemand: OnDemand | null } | null = null;

  return {
    get now() {
      return held?.onDemand ?? null;
    },
    revisionOf: (id) => (held?.id === id ? held.revision : null),
    put(id, revision, { config }) {
      held = { id, revision, onDemand: config.onDemand };
      onChange(held.onDemand);
    },
    delete(id) {
      if (held?.id !== id) return;
      held = null;
      onChange(null);
    },
    ids: () => (held === null ? [] : [held.id]),
  };
}
