import { deflateRawSync, inflateRawSync } from 'node:zlib';
import {
  AppError,
  type IdempotencyRecord,
  isAppError,
  recordKey,
  type StoredRecord,
} from '@lockstep/contract';
import type { Sealer } from '@lockstep/pki';
import type { Change, ConfigStore } from '@lockstep/store';
import { type Along, commitUnlessChanged, type WriteOrigin } from '../changes/writes.ts';
import { iso } from '../time/iso.ts';

/** For how long a key is remembered. */
export const keyKeptMs = 86_400_000;
/** A larger answer is not kept: the repeat is answered with what there is then. */
const largestAnswerBytes = 262_144;

export interface KeptAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

export interface Outcome {
  /** A digest of the request: the same key is for the same one. */
  request: string;
  /** What its work was to make, once that was made. */
  made: object | null;
  answer: KeptAnswer | null;
}

/** Another request under the same key made its change first. */
export class MadeByAnother extends Error {}

/** A request under a key, while it is worked on. */
export interface KeyedRequest {
  /** What was made under the key before, by a request that was never answered; null where nothing was. */
  readonly made: object | null;
  /** The key is this request's: it has made its change, or goes on with what another made. */
  readonly taken: boolean;
  /** Has the key taken in the very commit by which the request changes something. */
  readonly along: Along;
  /** What to find under the key once it was made. Before the first commit. */
  remember(made: object): void;
  /** Keeps the answer, which whoever repeats the request gets. */
  answered(answer: KeptAnswer): Promise<void>;
}

export interface KeyedRequestOptions {
  store: ConfigStore;
  sealer: Sealer;
  now: () => number;
  by: WriteOrigin['by'];
  id: string;
  request: string;
  before: StoredRecord<'idempotency'> | null;
}

export function createKeyedRequest(options: KeyedRequestOptions): KeyedRequest {
  const { store, sealer, now, by, id, request, before } = options;
  const known = before === null || isForgotten(before, now()) ? null : before;
  const at = known?.value.at ?? iso(now());
  let made = known === null ? null : openOutcome(sealer, known).made;
  let taken = known !== null;
  let revision = before?.revision ?? null;
  let last: Promise<unknown> = Promise.resolve();

  function put(answer: KeptAnswer | null) {
    const sealedOutcome = sealOutcome(sealer, id, { request, made, answer });
    return {
      checks: [{ kind: 'idempotency', id, revision }] as const,
      changes: [putKey(id, { at, sealedOutcome })],
    };
  }

  return {
    made,
    get taken() {
      return taken;
    },
    along: {
      take(make) {
        const turn = last.then(async () => {
          if (taken) return make(null);
          made ??= {};
          try {
            const position = await make(put(null));
            revision = position.number;
            taken = true;
            return position;
          } catch (error) {
            if (!isAppError(error, 'revision_conflict') || error.facts.kind !== 'idempotency') throw error;
            throw new MadeByAnother('another request under the same key was faster', { cause: error });
          }
        });
        last = turn.catch(() => {});
        return turn;
      },
    },
    remember(facts) {
      made = facts;
    },
    async answered(answer) {
      if (Buffer.byteLength(answer.body) > largestAnswerBytes) return;
      const { checks, changes } = put(answer);
      await commitUnlessChanged(store, { by, checks: [...checks], changes });
    },
  };
}

/** The one way to write a key: due when it is forgotten. */
export function putKey(id: string, value: IdempotencyRecord): Change {
  return { op: 'put', kind: 'idempotency', id, value, dueAt: forgottenAt(value) };
}

/** Whether its day is over, and it is only not swept yet. */
export function isForgotten({ value }: StoredRecord<'idempotency'>, now: number): boolean {
  return now >= forgottenAt(value);
}

function forgottenAt({ at }: IdempotencyRecord): number {
  return Date.parse(at) + keyKeptMs;
}

/** Null for one that does not open: it was altered, or the key it was sealed with is gone. */
export function openOutcome(sealer: Sealer, { id, value }: StoredRecord<'idempotency'>): Outcome {
  try {
    const deflated = Buffer.from(sealer.open(value.sealedOutcome, recordKey('idempotency', id)), 'base64');
    return JSON.parse(inflateRawSync(deflated).toString()) as Outcome;
  } catch (cause) {
    throw new AppError('internal', `what was made under an Idempotency-Key cannot be read`, { cause });
  }
}

function sealOutcome(sealer: Sealer, id: string, outcome: Outcome): string {
  const deflated = deflateRawSync(JSON.stringify(outcome)).toString('base64');
  return sealer.seal(deflated, recordKey('idempotency', id));
}
