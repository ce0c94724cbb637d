/** What a request to Pebble is for, by its path. */
const paths = {
  directory: /^\/dir$/,
  newNonce: /^\/nonce-plz$/,
  newAccount: /^\/sign-me-up$/,
  newOrder: /^\/order-plz$/,
  order: /^\/my-order\//,
  authz: /^\/authZ\//,
  challenge: /^\/chalZ\//,
  finalize: /^\/finalize-order\//,
  cert: /^\/certZ\//,
  renewalInfo: /renewalInfo/i,
  revokeCert: /^\/revoke-cert$/,
} as const;

export type AcmeKind = keyof typeof paths | 'other';

export const acmeKinds = [...Object.keys(paths), 'other'] as AcmeKind[];

export function acmeKind(path: string): AcmeKind {
  const found = Object.entries(paths).find(([, pattern]) => pattern.test(path));
  return found === undefined ? 'other' : (found[0] as AcmeKind);
}

/**
 * - answer: this instead of what the CA would say, which it is not asked.
 * - drop: the connection breaks, before the CA hears, or after it did what it was asked.
 * - hang: as `drop`, but nobody learns of it: there is no answer until the client gives up.
 * - delay: the CA's answer, so much later.
 * - processing: an order that has been issued is said to be still on its way.
 * - wrongCertificate: another host's chain (one of a throwaway CA, when it is left out).
 */
export type AcmeFault =
  | {
      fault: 'answer';
      status: number;
      /** As `rateLimited`: the rest of the URN is added. */
      type?: string;
      detail?: string;
      /** Seconds, or a date. */
      retryAfter?: number | string;
    }
  | { fault: 'drop'; when: 'before' | 'after' }
  | { fault: 'hang'; when: 'before' | 'after' }
  | { fault: 'delay'; ms: number }
  | { fault: 'processing'; retryAfter?: number }
  | { fault: 'wrongCertificate'; pem?: string };

export interface AcmeRequest {
  kind: AcmeKind;
  method: string;
  path: string;
  /** What was signed; null without a body, or with an empty one (POST-as-GET). */
  payload: unknown;
}

export interface AcmeFaults {
  /** Meets the next requests of the kind, `times` times (default: until removed). The oldest that is left comes first. */
  add(kind: AcmeKind, fault: AcmeFault, times?: number): () => void;
  /** Asked for each request that no added fault meets; null: never. A seeded generator goes here. */
  decide(by: ((request: AcmeRequest) => AcmeFault | null) | null): void;
  /** Removes all of it. */
  clear(): void;
}

export interface MetFault {
  fault: AcmeFault;
  /** It did not come to pass, and meets the next request instead. */
  putBack(): void;
}

export function createAcmeFaults(): AcmeFaults & { next(request: AcmeRequest): MetFault | null } {
  let added: { kind: AcmeKind; fault: AcmeFault; left: number }[] = [];
  let decideBy: ((request: AcmeRequest) => AcmeFault | null) | null = null;
  return {
    add(kind, fault, times = Number.POSITIVE_INFINITY) {
      const entry = { kind, fault, left: times };
      added.push(entry);
      return () => {
        added = added.filter((other) => other !== entry);
      };
    },
    decide(by) {
      decideBy = by;
    },
    clear() {
      added = [];
      decideBy = null;
    },
    next(request) {
      const entry = added.find(({ kind, left }) => kind === request.kind && left > 0);
      if (entry === undefined) {
        const fault = decideBy?.(request) ?? null;
        return fault && { fault, putBack() {} };
      }
      entry.left -= 1;
      return {
        fault: entry.fault,
        putBack() {
          entry.left += 1;
        },
      };
    },
  };
}

export function rateLimited(retryAfter: number | string, detail = 'too many new orders'): AcmeFault {
  return { fault: 'answer', status: 429, type: 'rateLimited', detail, retryAfter };
}

export function unavailable(retryAfter?: number | string): AcmeFault {
  return { fault: 'answer', status: 503, ...(retryAfter !== undefined && { retryAfter }) };
}

/** A refusal with a problem document of this type, as `rejectedIdentifier`. */
export function refused(type: string, detail = 'refused for this test'): AcmeFault {
  return { fault: 'answer', status: 403, type, detail };
}
