import { X509Certificate } from 'node:crypto';
import type { SecureContext } from 'node:tls';
import {
  AppError,
  addressOfHost,
  namesHost,
  type Refusal,
  recordKey,
  reverseNameOf,
  type StoredRecord,
} from '@lockstep/contract';
import { refusalOf } from '../../engine/refusal.ts';

const { createSecureContext } = process.getBuiltinModule('node:tls');

type ChallengeStored = StoredRecord<'challenge'>;

export interface HeldChallenge {
  stored: ChallengeStored;
  /** What a tls-alpn-01 challenge is answered with; null for the others. */
  context: SecureContext | null;
}

/** The challenges of orders under way, which any worker may be asked for. */
export interface ChallengeTable {
  /** Builds what answers the challenge; null, and a refusal noted, when that cannot be done. */
  build(stored: ChallengeStored): HeldChallenge | null;
  put(challenge: HeldChallenge): void;
  delete(id: string): void;
  /** Every id that is held or refused. */
  ids(): Iterable<string>;
  /** The key authorization that answers an http-01 challenge; null when there is none of this token. */
  keyAuthorization(token: string): string | null;
  /** What answers a tls-alpn-01 challenge for a server name (RFC 8737, section 3); null when none is pending. */
  context(name: string): SecureContext | null;
  readonly refusals: Iterable<Refusal>;
}

export function createChallengeTable({
  open,
}: {
  /** Opens a sealed key; throws `wrong_secret_key`. */
  open(sealed: string, context: string): string;
}): ChallengeTable {
  const byId = new Map<string, HeldChallenge>();
  /** By the server name that a CA asks for. Of several orders for a host the last one comes last. */
  const byHost = new Map<string, HeldChallenge[]>();
  const refusals = new Map<string, Refusal>();

  function contextFor({ id, value }: ChallengeStored): SecureContext | null {
    if (value.type !== 'tls-alpn-01') return null;
    const { host, certificate, sealedKey } = value;
    if (certificate === undefined || sealedKey === undefined) {
      throw new AppError('bad_certificate', 'the challenge comes without its certificate');
    }
    if (!namesHost(new X509Certificate(certificate), host)) {
      throw new AppError('bad_certificate', `the challenge’s certificate does not name "${host}"`);
    }
    return createSecureContext({ cert: certificate, key: open(sealedKey, recordKey('challenge', id)) });
  }

  function remove(id: string): void {
    const held = byId.get(id);
    if (held === undefined) return;
    byId.delete(id);
    const host = askedAs(held.stored.value.host);
    const rest = byHost.get(host)?.filter((one) => one !== held) ?? [];
    if (rest.length === 0) byHost.delete(host);
    else byHost.set(host, rest);
  }

  return {
    build(stored) {
      try {
        return { stored, context: contextFor(stored) };
      } catch (error) {
        refusals.set(stored.id, refusalOf(stored, error));
        return null;
      }
    },
    put(challenge) {
      const { id, value } = challenge.stored;
      refusals.delete(id);
      remove(id);
      byId.set(id, challenge);
      const host = askedAs(value.host);
      if (challenge.context !== null) byHost.set(host, [...(byHost.get(host) ?? []), challenge]);
    },
    delete(id) {
      refusals.delete(id);
      remove(id);
    },
    ids: () => new Set([...byId.keys(), ...refusals.keys()]),
    keyAuthorization(token) {
      const held = byId.get(token)?.stored.value;
      return held?.type === 'http-01' ? held.keyAuthorization : null;
    },
    context: (name) => byHost.get(name)?.at(-1)?.context ?? null,
    get refusals() {
      return refusals.values();
    },
  };
}

/** The server name by which a CA asks for it: for an address that of its reverse lookup (RFC 8738, section 6). */
function askedAs(host: string): string {
  const address = addressOfHost(host);
  return address === null ? host : reverseNameOf(address);
}
