import { createHash, randomFillSync, timingSafeEqual } from 'node:crypto';
import {
  AppError,
  type Boundary,
  mostTicketKeys,
  type Refusal,
  recordKey,
  type StoredRecord,
  ticketKeyBytes,
} from '@lockstep/contract';
import { refusalOf } from '../../engine/refusal.ts';

type TicketsStored = StoredRecord<'session-tickets'>;

const partBytes = ticketKeyBytes / 3;

export interface TicketKey {
  name: Buffer;
  hmac: Buffer;
  cipher: Buffer;
}

export interface TicketKeysOptions {
  /** Opens what is sealed; throws `wrong_secret_key`. */
  open(sealed: string, context: string): string;
  /** Where the fleet has none yet: the same for all workers of this edge. */
  own: Buffer;
  boundary: Pick<Boundary, 'note'>;
  /**
   * Whom handshakes ask for certificates. A session that is resumed is asked for nothing, so one that began before its host asked has to begin anew:
   * with another digest, the keys have other names.
   */
  digest(): Buffer | null;
}

/** The keys that tickets are made with and opened by. */
export interface TicketKeys {
  /** Opens the keys of the fleet; null, and a refusal noted, where they are none. */
  build(stored: TicketsStored): readonly TicketKey[] | null;
  put(id: string, keys: readonly TicketKey[]): void;
  delete(id: string): void;
  ids(): Iterable<string>;
  /** Has a server ask here for each ticket. To be called again whenever its settings of TLS are put in anew. */
  serve(server: object): void;
  readonly refusals: Iterable<Refusal>;
}

/** What OpenSSL is told (SSL_CTX_set_tlsext_ticket_key_cb). */
const unknown = 0;
const made = 1;
/** Opened, and another ticket is made: TLS 1.3 has them used once (RFC 8446, appendix C.4), and the newest key lasts longest. */
const renewed = 2;
const failed = -1;

type Answer = [result: number, hmac?: Buffer, cipher?: Buffer, name?: Buffer, iv?: Buffer];

/** What Node has for it and does not document: with `ticketKeys`, tickets of any key but one are lost. */
interface NativeContext {
  enableTicketKeyCallback(): void;
  onticketkeycallback(name: Buffer, iv: Buffer, making: boolean): Answer;
}

export function createTicketKeys({ open, own, boundary, digest }: TicketKeysOptions): TicketKeys {
  let held: string | null = null;
  let keys: readonly TicketKey[] = split(own);
  let named = { of: keys, digest: null as Buffer | null, keys };
  const refusals = new Map<string, Refusal>();

  function inForce(): readonly TicketKey[] {
    const now = digest();
    if (named.of !== keys || named.digest !== now) {
      const rename = (key: TicketKey) => (now === null ? key : { ...key, name: nameOf(key, now) });
      named = { of: keys, digest: now, keys: keys.map(rename) };
    }
    return named.keys;
  }

  function answer(name: Buffer, making: boolean): Answer {
    const current = inForce();
    const key = making ? current[0] : current.find((one) => timingSafeEqual(one.name, name));
    if (key === undefined) return [unknown, name, name];
    if (!making) return [renewed, key.hmac, key.cipher];
    return [made, key.hmac, key.cipher, key.name, nextIv()];
  }

  return {
    build(stored) {
      try {
        const opened = open(stored.value.sealedKeys, recordKey(stored.kind, stored.id));
        return split(Buffer.from(opened, 'base64'));
      } catch (error) {
        refusals.set(stored.id, refusalOf(stored, error));
        return null;
      }
    },
    put(id, next) {
      refusals.delete(id);
      held = id;
      keys = next;
    },
    delete(id) {
      refusals.delete(id);
      if (held !== id) return;
      held = null;
      keys = split(own);
    },
    ids: () => new Set([...(held === null ? [] : [held]), ...refusals.keys()]),
    serve(server) {
      const { context } = (server as { _sharedCreds: { context: NativeContext } })._sharedCreds;
      context.enableTicketKeyCallback();
      context.onticketkeycallback = (name, _iv, making) => {
        try {
          return answer(name, making);
        } catch (error) {
          boundary.note('handshake', error);
          return [failed];
        }
      };
    },
    get refusals() {
      return refusals.values();
    },
  };
}

/** Random bytes cost by the call, not by the byte. Each of these is given once, and is copied before the next. */
const ivs = Buffer.alloc(256 * partBytes);
let ivAt = ivs.length;

function nextIv(): Buffer {
  if (ivAt === ivs.length) {
    randomFillSync(ivs);
    ivAt = 0;
  }
  ivAt += partBytes;
  return ivs.subarray(ivAt - partBytes, ivAt);
}

function nameOf({ name }: TicketKey, digest: Buffer): Buffer {
  return createHash('sha256').update(name).update(digest).digest().subarray(0, partBytes);
}

/** Throws `internal` for what is no whole number of keys, or too many. */
function split(bytes: Buffer): TicketKey[] {
  const count = bytes.length / ticketKeyBytes;
  if (!Number.isInteger(count) || count < 1 || count > mostTicketKeys) {
    throw new AppError('internal', `${bytes.length} bytes are no keys of session tickets`);
  }
  return Array.from({ length: count }, (_, i) => {
    const part = (at: number) =>
      bytes.subarray(i * ticketKeyBytes + at * partBytes, i * ticketKeyBytes + (at + 1) * partBytes);
    return { name: part(0), hmac: part(1), cipher: part(2) };
  });
}
