import { setImmediate } from 'node:timers/promises';
import {
  AppError,
  changeFault,
  continues,
  type FollowEvent,
  isPosition,
  type LogEntry,
  type LoggedChange,
  type Position,
  type Refusal,
  recordFault,
  recordKey,
  type StoredRecord,
} from '@lockstep/contract';
import { refusalOf } from '../../engine/refusal.ts';
import type { RouteTable } from '../routing/route-table.ts';
import type { CertificateChecker } from '../tls/certificate-checker.ts';
import type { CertificateTable } from '../tls/certificate-table.ts';
import type { ChallengeTable } from '../tls/challenge-table.ts';
import type { StapleTable } from '../tls/staple-table.ts';
import type { TicketKeys } from '../tls/ticket-keys.ts';
import type { FleetSettings } from './fleet-settings.ts';
import type { ServedKind } from './served-kinds.ts';

/** So many contexts are built in one go (about 0.2 ms each) before requests get their turn. */
const buildsBeforeYield = 8;

export interface ConfigurationOptions {
  routes: RouteTable;
  certificates: CertificateTable;
  checker: Pick<CertificateChecker, 'check'>;
  challenges: ChallengeTable;
  staples: StapleTable;
  settings: FleetSettings;
  tickets: TicketKeys;
}

/** What a worker serves by, kept in step with its feed. */
export interface Configuration {
  /**
   * Validates and builds first, then puts the whole commit or snapshot in at once: no request sees half of it. Resolves
   * when it is in force. A record that cannot be put to use is refused by its name, and what it was before stays.
   *
   * Rejects, with nothing changed, for a commit that does not follow the position, and for what cannot be read as a whole: only a
   * snapshot helps then.
   */
  apply(event: FollowEvent): Promise<void>;
  readonly position: Position | null;
  readonly refusals: Refusal[];
}

/** What each table is asked for, whatever it holds. */
interface Table {
  delete(id: string): void;
  ids(): Iterable<string>;
}

/** What puts one record in, or takes it out, once everything else is ready. */
interface Swap {
  of: { kind: string; id: string; revision: number };
  run(): void;
}

export function createConfiguration(options: ConfigurationOptions): Configuration {
  const { routes, certificates, checker, challenges, staples, settings, tickets } = options;
  const tableOf = {
    route: routes,
    certificate: certificates,
    challenge: challenges,
    staple: staples,
    'edge-settings': settings,
    'session-tickets': tickets,
  };
  const tables = new Map<string, Table>(Object.entries(tableOf satisfies Record<ServedKind, Table>));
  /** Beside those of the tables: what could not be read. */
  const unread = new Map<string, Refusal>();
  /** Records of the last snapshot, which was scanned beside commits, that are of a commit still to come. */
  let ahead = new Map<string, number>();
  let position: Position | null = null;
  let builds = 0;

  async function yieldAtTimes(): Promise<void> {
    builds += 1;
    if (builds % buildsBeforeYield === 0) await setImmediate();
  }

  function refuse(of: unknown, revision: number, error: unknown): void {
    const { kind, id } = (of ?? {}) as { kind?: unknown; id?: unknown };
    const name = { kind: typeof kind === 'string' ? kind : '?', id: typeof id === 'string' ? id : '?' };
    unread.set(`${name.kind}/${name.id}`, refusalOf({ ...name, revision }, error));
  }

  /** Whether what has this name is of any concern to a worker. */
  function concerns(of: unknown): boolean {
    const kind = (of as { kind?: unknown } | null)?.kind;
    return typeof kind !== 'string' || tables.has(kind);
  }

  function takesBuilding(record: StoredRecord): boolean {
    return (
      record.kind === 'certificate' || (record.kind === 'challenge' && record.value.type === 'tls-alpn-01')
    );
  }

  /** What puts a record in; null for one that its table refuses. */
  function prepare(record: StoredRecord): (() => void) | null {
    const { id, revision } = record;
    if (record.kind === 'route') return () => routes.put(id, revision, record.value);
    if (record.kind === 'staple') return () => staples.put(id, revision, record.value);
    if (record.kind === 'edge-settings') return () => settings.put(id, revision, record.value);
    if (record.kind === 'certificate') {
      const context = certificates.build(record);
      return context === null ? null : () => certificates.put(record, context);
    }
    if (record.kind === 'challenge') {
      const challenge = challenges.build(record);
      return challenge === null ? null : () => challenges.put(challenge);
    }
    if (record.kind === 'session-tickets') {
      const keys = tickets.build(record);
      return keys === null ? null : () => tickets.put(id, keys);
    }
    return null;
  }

  /** No await in here: this is the swap. */
  function swapIn(swaps: Swap[]): void {
    for (const { of, run } of swaps) {
      try {
        run();
      } catch (error) {
        refuse(of, of.revision, error);
      }
    }
  }

  async function applyCommit(entry: LogEntry): Promise<void> {
    if (!isPosition(entry?.position) || !Array.isArray(entry.changes)) {
      throw new AppError('internal', 'a commit cannot be read');
    }
    const { number } = entry.position;
    if (!continues(position, entry)) {
      throw new AppError('internal', `revision ${number} does not follow what is in force`);
    }
    const swaps: Swap[] = [];
    for (const change of entry.changes) {
      if (!concerns(change)) continue;
      const fault = changeFault(change, number);
      if (fault !== null) {
        refuse(change, number, new AppError('internal', `the record ${fault}`));
        continue;
      }
      const key = recordKey(change.kind, change.id);
      if ((ahead.get(key) ?? -1) >= number) continue;
      unread.delete(key);
      const run = change.op === 'delete' ? deletion(change) : await built(storedAt(change, number));
      if (run !== null) swaps.push({ of: { kind: change.kind, id: change.id, revision: number }, run });
    }
    swapIn(swaps);
    position = entry.position;
    if (ahead.size > 0 && Math.max(...ahead.values()) <= number) ahead = new Map();
  }

  function deletion({ kind, id }: LoggedChange): () => void {
    return () => tables.get(kind)!.delete(id);
  }

  async function built(record: StoredRecord): Promise<(() => void) | null> {
    if (takesBuilding(record)) await yieldAtTimes();
    return prepare(record);
  }

  async function applySnapshot(at: Position, batches: AsyncIterable<StoredRecord[]>): Promise<void> {
    if (!isPosition(at)) throw new AppError('internal', 'a snapshot has no position');
    const swaps: Swap[] = [];
    const faulty: [unknown, string][] = [];
    const runsAhead = new Map<string, number>();
    const seen = new Map([...tables.keys()].map((kind) => [kind, new Set<string>()]));
    for await (const batch of batches) {
      for (const record of batch) {
        if (!concerns(record)) continue;
        seen.get(record?.kind)?.add(record.id);
        const fault = recordFault(record);
        if (fault !== null) {
          faulty.push([record, fault]);
          continue;
        }
        if (record.revision > at.number) runsAhead.set(recordKey(record.kind, record.id), record.revision);
        // A certificate is built at its first handshake, or when it is checked: a hundred thousand must not hold up the start.
        const run =
          record.kind === 'certificate' ? () => certificates.putUnbuilt(record) : await built(record);
        if (run !== null) swaps.push({ of: record, run });
      }
    }
    unread.clear();
    for (const [record, fault] of faulty) {
      refuse(
        record,
        (record as StoredRecord | null)?.revision ?? 0,
        new AppError('internal', `the record ${fault}`),
      );
    }
    for (const [kind, table] of tables) {
      for (const id of new Set(table.ids())) {
        if (!seen.get(kind)!.has(id)) {
          swaps.push({ of: { kind, id, revision: at.number }, run: () => table.delete(id) });
        }
      }
    }
    swapIn(swaps);
    // In force, and not acknowledged before the newest are known to be of use.
    await checker.check();
    ahead = runsAhead;
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
      return [...unread.values(), ...certificates.refusals, ...challenges.refusals, ...tickets.refusals];
    },
  };
}

function storedAt({ kind, id, value }: LoggedChange & { op: 'put' }, revision: number): StoredRecord {
  return { kind, id, revision, value } as StoredRecord;
}
