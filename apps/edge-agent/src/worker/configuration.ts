import { setImmediate } from 'node:timers/promises';
import type {
  ChallengeRecord,
  FollowEvent,
  LogEntry,
  LoggedChange,
  Position,
  Refusal,
  StoredRecord,
} from '@lockstep/contract';
import type { CertificateTable } from './certificate-table.ts';
import type { RouteTable } from './route-table.ts';

/** So many contexts are built in one go (about 0.2 ms each) before requests get their turn. */
const buildsBeforeYield = 8;

export interface ConfigurationOptions {
  routes: RouteTable;
  certificates: CertificateTable;
}

/** What a worker serves by, kept in step with its feed. */
export interface Configuration {
  /**
   * Validates and builds first, then puts the whole commit or snapshot in at once: no request sees half of it. Resolves
   * when it is in force.
   */
  apply(event: FollowEvent): Promise<void>;
  /** The key authorization that answers an http-01 challenge; null when there is none of this token. */
  challenge(token: string): string | null;
  readonly position: Position | null;
  readonly refusals: Refusal[];
}

export function createConfiguration({ routes, certificates }: ConfigurationOptions): Configuration {
  const challenges = new Map<string, { revision: number; record: ChallengeRecord }>();
  let position: Position | null = null;

  function heldAt(change: LoggedChange): number | null {
    if (change.kind === 'route') return routes.revisionOf(change.id);
    if (change.kind === 'certificate') return certificates.revisionOf(change.id);
    if (change.kind === 'challenge') return challenges.get(change.id)?.revision ?? null;
    return null;
  }

  async function applyCommit(entry: LogEntry): Promise<void> {
    const { number } = entry.position;
    const swaps: (() => void)[] = [];
    let builds = 0;
    for (const change of entry.changes) {
      // The snapshot before was scanned beside commits and may have had this already.
      if ((heldAt(change) ?? -1) >= number) continue;
      if (change.op === 'delete') {
        swaps.push(() => remove(change.kind, change.id));
      } else if (change.kind === 'certificate') {
        builds += 1;
        if (builds % buildsBeforeYield === 0) await setImmediate();
        const stored = { kind: change.kind, id: change.id, revision: number, value: change.value };
        const context = certificates.build(stored);
        if (context !== null) swaps.push(() => certificates.put(stored, context));
      } else if (change.kind === 'route') {
        swaps.push(() => routes.put(change.id, number, change.value));
      } else if (change.kind === 'challenge') {
        swaps.push(() => challenges.set(change.id, { revision: number, record: change.value }));
      }
    }
    // No await from here on: this is the swap.
    for (const swap of swaps) swap();
    position = entry.position;
  }

  function remove(kind: string, id: string): void {
    if (kind === 'route') routes.delete(id);
    else if (kind === 'certificate') certificates.delete(id);
    else if (kind === 'challenge') challenges.delete(id);
  }

  async function applySnapshot(at: Position, batches: AsyncIterable<StoredRecord[]>): Promise<void> {
    const records: StoredRecord[] = [];
    for await (const batch of batches) for (const record of batch) records.push(record);
    const unseen = {
      route: new Set(routes.ids()),
      certificate: new Set(certificates.ids()),
      challenge: new Set(challenges.keys()),
    };
    const sameEpoch = position?.epoch === at.epoch;
    for (const record of records) {
      if (record.kind === 'route') {
        unseen.route.delete(record.id);
        // A route that is the same keeps its turn among the upstreams, and its pools.
        if (sameEpoch && routes.revisionOf(record.id) === record.revision) continue;
        routes.put(record.id, record.revision, record.value);
      } else if (record.kind === 'certificate') {
        unseen.certificate.delete(record.id);
        certificates.putUnbuilt(record);
      } else if (record.kind === 'challenge') {
        unseen.challenge.delete(record.id);
        challenges.set(record.id, { revision: record.revision, record: record.value });
      }
    }
    for (const id of unseen.route) routes.delete(id);
    for (const id of unseen.certificate) certificates.delete(id);
    for (const id of unseen.challenge) challenges.delete(id);
    position = at;
  }

  return {
    async apply(event) {
      if (event.type === 'commit') await applyCommit(event.entry);
      else if (event.type === 'snapshot') await applySnapshot(event.position, event.records);
    },
    challenge(token) {
      const held = challenges.get(token);
      return held?.record.type === 'http-01' ? held.record.keyAuthorization : null;
    },
    get position() {
      return position;
    },
    get refusals() {
      return [...certificates.refusals];
    },
  };
}
