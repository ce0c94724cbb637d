import { createHash } from 'node:crypto';
import type { StapleRecord } from '@lockstep/contract';

/** The OCSP responses to staple (RFC 6066, section 8), by the fingerprint of the certificate they speak of. */
export interface StapleTable {
  put(id: string, revision: number, record: StapleRecord): void;
  delete(id: string): void;
  ids(): Iterable<string>;
  /** The response for the certificate that is being shown; null when there is none that is still current. */
  find(der: Uint8Array): Buffer | null;
}

interface HeldStaple {
  id: string;
  revision: number;
  fingerprint: string;
  response: Buffer | null;
  goodUntil: number;
}

export function createStapleTable(): StapleTable {
  const byId = new Map<string, HeldStaple>();
  const byFingerprint = new Map<string, HeldStaple>();

  function remove(id: string): void {
    const held = byId.get(id);
    if (held === undefined) return;
    byId.delete(id);
    if (byFingerprint.get(held.fingerprint) === held) byFingerprint.delete(held.fingerprint);
  }

  return {
    put(id, revision, { fingerprint256, response, nextUpdate }) {
      remove(id);
      const held = {
        id,
        revision,
        fingerprint: fingerprint256.replaceAll(':', '').toLowerCase(),
        response: response === null ? null : Buffer.from(response, 'base64'),
        goodUntil: nextUpdate === null ? 0 : Date.parse(nextUpdate),
      };
      byId.set(id, held);
      if (held.response !== null) byFingerprint.set(held.fingerprint, held);
    },
    delete: remove,
    ids: () => byId.keys(),
    find(der) {
      if (byFingerprint.size === 0) return null;
      // The fingerprint is the digest of what goes over the wire: no certificate is parsed in a handshake.
      const held = byFingerprint.get(createHash('sha256').update(der).digest('hex'));
      return held !== undefined && held.goodUntil > Date.now() ? held.response : null;
    },
  };
}
