import {
  AppError,
  type Audience,
  audienceOf,
  broughtUpToDate,
  type CommitOrigin,
  isForJournal,
  type Kind,
  kinds,
  type LoggedChange,
  type Principal,
  recordKey,
  withVersion,
} from '@lockstep/contract';
import { type Change, type Commit, maxCommitBytes, maxCommitRecords } from '../interface/config-store.ts';

/** One change with everything serialised: backends store `json` as it is and never read it. */
export interface PreparedChange {
  op: 'put' | 'delete';
  kind: Kind;
  id: string;
  /** `kind/id` */
  key: string;
  json: string;
  claims: string[];
  /** Where it stands among the due records of its kind (see `dueScore`). */
  dueAt: number | null;
  /** The journal keeps it. */
  journaled: boolean;
}

export interface PreparedCommit {
  changes: PreparedChange[];
  /** The changes as the log keeps them: a JSON array of `LoggedChange`. */
  logged: string;
  /** Those of kinds for edges, and those for control planes alone, each without the brackets. */
  loggedFor: Record<Audience, string>;
  /** A JSON object, `CommitOrigin`, in one line. */
  origin: string;
  /** Each a JSON object, `EventDraft`. */
  events: string[];
}

const partsThatCommit: readonly unknown[] = [
  'coordinator',
  'on-demand',
  'stapler',
  'system',
  'caddy-api',
  'ownership',
] satisfies Principal['kind'][];

/** Checks what needs no store, and serialises. Throws `commit_too_large`, `host_taken` and `invalid_request`. */
export function prepareCommit(commit: Commit): PreparedCommit {
  if (!/^[!-~]{1,128}$/.test(commit.id)) {
    throw new AppError('invalid_request', 'a commit id has 1 to 128 visible ASCII characters');
  }
  if (commit.changes.length > maxCommitRecords || (commit.checks?.length ?? 0) > maxCommitRecords) {
    throw new AppError('commit_too_large', `a commit carries at most ${maxCommitRecords} records`);
  }
  const changes = commit.changes.map(prepareChange);
  refuseRepeats(changes);
  const of = (audience: Audience) =>
    changes.filter(({ kind }) => audienceOf(kind) === audience).map(loggedChange);
  const parts = { edge: of('edge'), control: of('control') };
  const logged = `[${[...parts.edge, ...parts.control].join(',')}]`;
  if (Buffer.byteLength(logged) > maxCommitBytes) {
    throw new AppError('commit_too_large', `a commit carries at most ${maxCommitBytes} bytes`);
  }
  const loggedFor = { edge: parts.edge.join(','), control: parts.control.join(',') };
  return { changes, logged, loggedFor, origin: prepareOrigin(commit), events: prepareEvents(commit) };
}

function prepareEvents({ events = [] }: Commit): string[] {
  const prepared = events.map(({ type, subject, tenant, data }) =>
    JSON.stringify({ type, subject, tenant, data }),
  );
  const bytes = prepared.reduce((sum, one) => sum + Buffer.byteLength(one), 0);
  if (events.length > maxCommitRecords || bytes > maxCommitBytes)
    throw new AppError(
      'commit_too_large',
      `a commit tells at most ${maxCommitRecords} events, of ${maxCommitBytes} bytes`,
    );
  return prepared;
}

function prepareOrigin({ by = { kind: 'system' }, requestId = null, cause = null }: Commit): string {
  const origin = JSON.stringify({ by, requestId, cause } satisfies CommitOrigin);
  if (parseOrigin(origin) === null) {
    throw new AppError('invalid_request', `a commit cannot have the origin ${origin.slice(0, 200)}`);
  }
  return origin;
}

/** Reads `PreparedCommit.origin`; null for anything else. */
export function parseOrigin(origin: string): CommitOrigin | null {
  try {
    const { by, requestId, cause } = JSON.parse(origin);
    if (!isPrincipal(by) || (requestId !== null && !isName(requestId))) return null;
    return cause === null || Number.isSafeInteger(cause) ? { by, requestId, cause } : null;
  } catch {
    return null;
  }
}

function isPrincipal(by: unknown): by is Principal {
  if (typeof by !== 'object' || by === null) return false;
  const { kind, name, id = '-', tenant = '-' } = by as Record<string, unknown>;
  return kind === 'token' ? [name, id, tenant].every(isName) : partsThatCommit.includes(kind);
}

function isName(name: unknown): name is string {
  return typeof name === 'string' && /^[ -~]{1,128}$/.test(name);
}

/** Reads `PreparedCommit.logged`; null for anything else. What the values hold is for their users to judge. */
export function parseLogged(logged: string): LoggedChange[] | null {
  try {
    const changes: unknown = JSON.parse(logged);
    return Array.isArray(changes) && changes.every(isLoggedChange) ? changes.map(upToDate) : null;
  } catch {
    return null;
  }
}

function isLoggedChange(change: unknown): change is LoggedChange {
  if (typeof change !== 'object' || change === null) return false;
  const { op, kind, id, value } = change as Record<string, unknown>;
  if (typeof kind !== 'string' || typeof id !== 'string' || id === '') return false;
  return op === 'delete' || (op === 'put' && value !== undefined);
}

function upToDate(change: LoggedChange): LoggedChange {
  if (change.op === 'delete') return change;
  return { ...change, value: broughtUpToDate(change.kind, change.value) } as LoggedChange;
}

/** Splits `kind/id`; kinds have no slash. */
export function splitKey(key: string): { kind: Kind; id: string } {
  const slash = key.indexOf('/');
  return { kind: key.slice(0, slash) as Kind, id: key.slice(slash + 1) };
}

function prepareChange(change: Change): PreparedChange {
  const { op, kind, id } = change;
  if (!kinds.includes(kind) || id === '') throw new AppError('invalid_request', `no record "${kind}/${id}"`);
  const key = recordKey(kind, id);
  const journaled = isForJournal(kind, op === 'put' ? change.value : null);
  if (op === 'delete') return { op, kind, id, key, json: '', claims: [], dueAt: null, journaled };
  const claims = [...new Set(change.claims ?? [])];
  const dueAt = change.dueAt == null ? null : dueScore(change.dueAt, change.lane);
  const json = JSON.stringify(withVersion(kind, change.value));
  return { op, kind, id, key, json, claims, dueAt, journaled };
}

/** More milliseconds than any date has; ten lanes of them are still exact in a double. */
const laneWidth = 1e14;

/** A due date and its lane as one number: the lanes lie one after another on one scale. */
export function dueScore(dueAt: number, lane = 0): number {
  if (!Number.isInteger(lane) || lane < 0 || lane > 9)
    throw new AppError('invalid_request', `there is no lane ${lane}`);
  // Redis would refuse it in the middle of a commit.
  if (Number.isNaN(dueAt)) throw new AppError('invalid_request', 'the due date is none');
  return lane * laneWidth + Math.min(Math.max(Math.round(dueAt), 0), laneWidth - 1);
}

export function dueOfScore(score: number): number {
  return score % laneWidth;
}

function loggedChange({ op, kind, id, json }: PreparedChange): string {
  const head = `{"op":"${op}","kind":"${kind}","id":${JSON.stringify(id)}`;
  return op === 'put' ? `${head},"value":${json}}` : `${head}}`;
}

function refuseRepeats(changes: PreparedChange[]): void {
  const seen = new Set<string>();
  const holders = new Map<string, PreparedChange>();
  for (const change of changes) {
    if (seen.has(change.key)) {
      throw new AppError('invalid_request', `a commit changes a record once; ${change.key} comes twice`);
    }
    seen.add(change.key);
    for (const claim of change.claims) {
      const holder = holders.get(claim);
      if (holder !== undefined) throw hostTaken(claim, holder.kind, holder.id);
      holders.set(claim, change);
    }
  }
}

export function hostTaken(claim: string, kind: string, id: string): AppError {
  return new AppError('host_taken', `"${claim}" belongs to ${kind} ${id}`, { facts: { claim, kind, id } });
}

export function revisionConflict(kind: string, id: string): AppError {
  return new AppError('revision_conflict', `${kind} ${id} changed since it was read`, {
    facts: { kind, id },
  });
}

export function leaseLost(name: string): AppError {
  return new AppError('lease_lost', `the lease "${name}" has run out or gone to another`);
}
