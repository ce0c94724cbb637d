import type { AttemptsRecord } from '../api/attempt.ts';
import type { CertificateRecord, StapleRecord } from '../api/certificate.ts';
import type { ChallengeRecord } from '../api/challenge.ts';
import type { BucketRecord, IssuerRecord } from '../api/issuer.ts';
import type { RouteRecord } from '../api/route.ts';
import type { SettingsRecord } from '../api/settings.ts';
import type { Position, Revision } from '../shared/revision.ts';
import type { CommitOrigin } from './commit-origin.ts';
import type { OrderRecord } from './order.ts';

/** One account of an ACME issuer at its directory, made once for the whole fleet. */
export interface AccountRecord {
  directory: string;
  /** Null until the CA has answered; the key is committed first, so that no second account is ever made. */
  accountUrl: string | null;
  /** PKCS#8 PEM, sealed with `account/<id>`. */
  sealedKey: string;
}

/** The internal CA. */
export interface AuthorityRecord {
  certificate: string;
  /** PKCS#8 PEM, sealed with `authority/<id>`. */
  sealedKey: string;
}

/** A sealed known text: whoever opens it has the right secret key. */
export interface CanaryRecord {
  sealed: string;
}

/** An operator's word that node `<id>` may apply a snapshot up to `revision` which removes most of what it serves. */
export interface ConfirmationRecord {
  revision: Revision;
}

/** All that the store keeps, by kind. */
export interface RecordValues {
  route: RouteRecord;
  certificate: CertificateRecord;
  challenge: ChallengeRecord;
  order: OrderRecord;
  account: AccountRecord;
  authority: AuthorityRecord;
  canary: CanaryRecord;
  confirmation: ConfirmationRecord;
  issuer: IssuerRecord;
  settings: SettingsRecord;
  attempts: AttemptsRecord;
  bucket: BucketRecord;
  staple: StapleRecord;
}

export type Kind = keyof RecordValues;

export const kinds = [
  'route',
  'certificate',
  'challenge',
  'order',
  'account',
  'authority',
  'canary',
  'confirmation',
  'issuer',
  'settings',
  'attempts',
  'bucket',
  'staple',
] as const satisfies readonly Kind[];

/** What edges follow. */
export const edgeKinds = [
  'route',
  'certificate',
  'challenge',
  'confirmation',
  'settings',
  'staple',
] as const satisfies readonly Kind[];

/** A record as it stands; `revision` is the number of the commit that wrote it. */
export type StoredRecord<K extends Kind = Kind> = {
  [P in K]: { kind: P; id: string; revision: number; value: RecordValues[P] };
}[K];

/** What a commit did to one record. */
export type LoggedChange<K extends Kind = Kind> =
  | { [P in K]: { op: 'put'; kind: P; id: string; value: RecordValues[P] } }[K]
  | { op: 'delete'; kind: K; id: string };

/** An entry of the change log. */
export interface LogEntry extends CommitOrigin {
  position: Position;
  /** The commit id of the entry before this one; null for the first. */
  previousCommitId: string | null;
  changes: LoggedChange[];
}

/**
 * What a follower sees, in order. A snapshot replaces everything held before, and has to be read to its end; its records may be newer than `position`
 * (the scan runs beside commits), so whoever applies a commit after it skips each change to a record that is held at the
 * commit's number or a later one. `current`: everything known so far has been delivered.
 */
export type FollowEvent =
  | { type: 'snapshot'; position: Position; records: AsyncIterable<StoredRecord[]> }
  | { type: 'commit'; entry: LogEntry }
  | { type: 'current'; position: Position };

export function recordKey(kind: Kind, id: string): string {
  return `${kind}/${id}`;
}
