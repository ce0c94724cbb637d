import type { StoredRecord } from '@lockstep/contract';
import type { Change, ConfigStore } from '@lockstep/store';
import { commit } from '../changes/writes.ts';
import type { SettingsSource } from '../settings/settings-source.ts';
import type { Attempts } from './attempts.ts';
import { readHostContext } from './host-context.ts';
import type { Renewals } from './renewals.ts';
import type { Outcome, StepTools } from './step-tools.ts';

/** One step of an order at a time. */
export interface OrderSteps {
  /** Takes the step that is due, and writes what came of it. Null when nothing is left to do now. */
  next(record: StoredRecord<'order'>, tools: StepTools): Promise<Outcome | null>;
}

export interface OrderStepsOptions {
  store: ConfigStore;
  settings: Pick<SettingsSource, 'refresh'>;
  attempts: Attempts;
  renewals: Renewals;
}

export function createOrderSteps({ store, settings, attempts, renewals }: OrderStepsOptions): OrderSteps {
  /** The end of the grace time: nothing needs the certificate, unless a route came to name its host again. */
  async function drop(record: StoredRecord<'order'>, { lease, write }: StepTools): Promise<Outcome | null> {
    const { id, revision, value } = record;
    const holders = await store.findClaims(`${value.host} `, 1);
    if (holders.length > 0) {
      const outcome = { order: { ...value, unusedSince: null }, changes: [], waitMs: 0 };
      await write(record, outcome);
      return outcome;
    }
    await attempts.cleanUp(value);
    const challenge: Change[] =
      value.challengeId === null ? [] : [{ op: 'delete', kind: 'challenge', id: value.challengeId }];
    await commit(store, {
      by: { kind: 'coordinator' },
      cause: revision,
      lease: lease.current(),
      checks: [{ kind: 'order', id, revision }],
      changes: [
        ...(['certificate', 'order', 'attempts', 'staple'] as const).map(
          (kind) => ({ op: 'delete', kind, id }) as const,
        ),
        ...challenge,
      ],
    });
    return null;
  }

  return {
    async next(record, tools) {
      const order = record.value;
      if (order.unusedSince !== null) return drop(record, tools);
      const begins = order.step === 'idle';
      const [context] = await Promise.all([
        readHostContext(store, record),
        begins ? settings.refresh() : undefined,
      ]);
      if (!begins) return attempts.resume(record, context, tools);
      return (
        (await renewals.next(record, context.certificate, tools)) ??
        (await attempts.begin(record, context, tools))
      );
    },
  };
}
