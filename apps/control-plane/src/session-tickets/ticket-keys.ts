import { randomBytes } from 'node:crypto';
import {
  isAppError,
  mostTicketKeys,
  recordKey,
  type SessionTicketsRecord,
  sessionTicketsId,
  ticketKeyBytes,
} from '@lockstep/contract';
import type { Sealer } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import type { ChangeHub } from '../changes/change-hub.ts';
import { commitUnlessChanged } from '../changes/writes.ts';
import { createDueWork } from '../due-work/due-work.ts';
import { iso } from '../time/iso.ts';
import { putTicketKeys } from './put-ticket-keys.ts';

/** A key makes tickets for so long, and opens them for three times that. */
const rotateEveryMs = 12 * 3_600_000;
const leaseMs = 10_000;
const idleMs = 60_000;
const kind = 'session-tickets';
const key = recordKey(kind, sessionTicketsId);

export interface TicketKeysOptions {
  store: ConfigStore;
  sealer: Sealer<'edges'>;
  hub: ChangeHub;
  log: Logger;
  now: () => number;
}

/** Makes the keys of the fleet's session tickets, and a new one every 12 hours. Resolves once there is one. */
export async function createTicketKeys(options: TicketKeysOptions): Promise<{ close(): Promise<void> }> {
  const { store, sealer, hub, log, now } = options;
  if ((await store.get(kind, sessionTicketsId)) === null) await write(null, []);
  const work = createDueWork({
    store,
    kind,
    lanes: { rotations: { slots: 1 } },
    run: rotate,
    idleMs,
    elsewhereMs: leaseMs,
    log,
    now,
  });

  /** False when another control plane has it. */
  async function rotate(): Promise<boolean> {
    const lease = await store.acquireLease(key, leaseMs);
    if (lease === null) return false;
    try {
      const record = await store.get(kind, sessionTicketsId);
      if (record !== null && Date.parse(record.value.dueAt) <= now()) {
        await write(record.revision, keysOf(record.value));
      }
    } finally {
      await store
        .releaseLease(lease)
        .catch((error: unknown) => log.debug({ err: error }, 'could not release a lease'));
    }
    return true;
  }

  function keysOf({ sealedKeys }: SessionTicketsRecord): Buffer[] {
    try {
      const bytes = Buffer.from(sealer.open(sealedKeys, key), 'base64');
      const count = Math.floor(bytes.length / ticketKeyBytes);
      return Array.from({ length: count }, (_, i) =>
        bytes.subarray(i * ticketKeyBytes, (i + 1) * ticketKeyBytes),
      );
    } catch (error) {
      if (!isAppError(error)) throw error;
      // Sessions are lost by it, and nothing else.
      log.warn({ err: error }, 'the keys of session tickets do not open; others are made');
      return [];
    }
  }

  /** A new key before those there are. Nothing happens where somebody else was faster. */
  async function write(revision: number | null, before: Buffer[]): Promise<void> {
    const keys = [randomBytes(ticketKeyBytes), ...before].slice(0, mostTicketKeys);
    const value: SessionTicketsRecord = {
      sealedKeys: sealer.seal(Buffer.concat(keys).toString('base64'), key),
      madeAt: iso(now()),
      dueAt: iso(now() + rotateEveryMs),
    };
    await commitUnlessChanged(store, {
      by: { kind: 'system' },
      checks: [{ kind, id: sessionTicketsId, revision }],
      changes: [putTicketKeys(value)],
    });
  }

  const unwatch = hub.watch((entry) => {
    if (entry === null || entry.changes.some((change) => change.kind === kind)) work.wake();
  });

  return {
    async close() {
      unwatch();
      await work.close();
    },
  };
}
