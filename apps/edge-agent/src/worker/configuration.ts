import { setImmediate } from 'node:timers/promises';
import type {
  FollowEvent,
  Kind,
  LogEntry,
  LoggedChange,
  Position,
  Refusal,
  StoredRecord,
} from '@lockstep/contract';
import type { CertificateTable } from './certificate-table.ts';
import type { ChallengeTable } from './challenge-table.ts';
import type { FleetSettings } from './fleet-settings.ts';
import type { RouteTable } from './route-table.ts';
import type { StapleTable } from './staple-table.ts';

/** So many contexts are built in one go (about 0.2 ms each) before requests get their turn. */
const buildsBeforeYield = 8;

export interface ConfigurationOptions {
  routes: RouteTable;
  certificates: CertificateTable;
  challenges: ChallengeTable;
  staples: StapleTable;
  settings: FleetSettings;
}

/** What a worker serves by, kept in step with its feed. */
export interface Configuration {
  /**
   * Validates and builds first, then puts the whole commit or snapshot in at once: no request sees half of it. Resolves
   * when it is in force.
   */
  apply(event: FollowEvent): Promise<void>;
  readonly position: Position | null;
  readonly refusals: Refusal[];
}

/** What each table is asked for, whatever it holds. */
interface Table {
  revisionOf(id: string): number | null;
  delete(id: string): void;
  ids(): Iterable<string>;
}

export function createConfiguration(options: ConfigurationOptions): Configuration {
  const { routes, certificates, challenges, staples, settings } = options;
  const tables: Partial<Record<Kind, Table>> = {
    route: routes,
    certificate: certificates,
    challenge: challenges,
    staple: staples,
    settings,
  };
  let position: Position | null = null;
  let builds = 0;

  async function yieldAtTimes(): Promise<void> {
    builds += 1;
    if (builds % buildsBeforeYield === 0) await setImmediate();
  }

  /** What puts a record in, once everything else is ready; null for one that is refused, or of no concern. */
  async function prepare(record: StoredRecord): Promise<(() => void) | null> {
    const { id, revision } = record;
    if (record.kind === 'route') return () => routes.put(id, revision, record.value);
    if (record.kind === 'staple') return () => staples.put(id, revision, record.value);
    if (record.kind === 'settings') return () => settings.put(id, revision, record.value);
    if (record.kind === 'certificate') {
      await yieldAtTimes();
      const context = certificates.build(record);
      return context === null ? null : () => certificates.put(record, context);
    }
    if (record.kind === 'challenge') {
      if (record.value.type === 'tls-alpn-01') await yieldAtTimes();
      const challenge = challenges.build(record);
      return challenge === null ? null : () => challenges.put(challenge);
    }
    return null;
  }

  async function applyCommit(entry: LogEntry): Promise<void> {
    const { number } = entry.position;
    const swaps: (() => void)[] = [];
    for (const change of entry.changes) {
      const table = tables[change.kind];
      // The snapshot before was scanned beside commits and may have had this already.
      if (table === undefined || (table.revisionOf(change.id) ?? -1) >= number) continue;
      const swap =
        change.op === 'delete' ? () => table.delete(change.id) : await prepare(storedAt(change, number));
      if (swap !== null) swaps.push(swap);
    }
    // No await from here on: this is the swap.
    for (const swap of swaps) swap();
    position = entry.position;
  }

  async function applySnapshot(at: Position, batches: AsyncIterable<StoredRecord[]>): Promise<void> {
    const swaps: (() => void)[] = [];
    const seen = new Map(Object.keys(tables).map((kind) => [kind, new Set<string>()]));
    const sameEpoch = position?.epoch === at.epoch;
    for await (const batch of batches) {
      for (const record of batch) {
        const table = tables[record.kind];
        if (table === undefined) continue;
        seen.get(record.kind)!.add(record.id);
        if (record.kind === 'certificate') {
          // Built at its first handshake: a hundred thousand of them must not hold up the start.
          swaps.push(() => certificates.putUnbuilt(record));
          continue;
        }
        // A route that is the same keeps its turn among the upstreams, and its pools.
        if (sameEpoch && table.revisionOf(record.id) === record.revision) continue;
        const swap = await prepare(record);
        if (swap !== null) swaps.push(swap);
      }
    }
    // No await from here on: this is the swap.
    for (const swap of swaps) swap();
    for (const [kind, table] of Object.entries(tables)) {
      for (const id of new Set(table.ids())) if (!seen.get(kind)!.has(id)) table.delete(id);
    }
    position = at;
  }

  return {
    async apply(event) {
      if (event.type === 'commit') await applyCommit(event.entry);
      else if (event.type === 'snapshot') await applySnapshot(event.position, event.records);
    },
    get position() {
      return position;
    },
    get refusals() {
      return [...certificates.refusals, ...challenges.refusals];
    },
  };
}

function storedAt({ kind, id, value }: LoggedChange & { op: 'put' }, revision: number): StoredRecord {
  return { kind, id, revision, value } as StoredRecord;
}
