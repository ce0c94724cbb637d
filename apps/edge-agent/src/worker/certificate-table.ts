import { X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import {
  AppError,
  type CertificateRecord,
  isAppError,
  type Refusal,
  recordKey,
  type StoredRecord,
  wildcardOf,
} from '@lockstep/contract';
import { LRUCache } from 'lru-cache';

export interface CertificateTableOptions {
  /** Opens a sealed key; throws `wrong_secret_key`. */
  open(sealed: string, context: string): string;
  maxContexts: number;
  /** A certificate delivered by a snapshot turned out unusable at a handshake. */
  onRefused(): void;
}

type CertificateStored = StoredRecord<'certificate'>;

/** The certificates a worker holds, by host. */
export interface CertificateTable {
  revisionOf(id: string): number | null;
  /** Builds the context of a changed certificate; null, and a refusal noted, when it cannot be put to use. */
  build(stored: CertificateStored): SecureContext | null;
  /** Puts in a certificate that `build` has built. */
  put(stored: CertificateStored, context: SecureContext): void;
  /** Puts in a certificate whose context is built at its first handshake; what it replaces serves on if that fails. */
  putUnbuilt(stored: CertificateStored): void;
  delete(id: string): void;
  /** Every id that is held or refused. */
  ids(): Iterable<string>;
  /** The context for a server name; null when no certificate covers it. */
  find(name: string): SecureContext | null;
  readonly refusals: Iterable<Refusal>;
  readonly built: number;
  readonly contexts: number;
}

interface Entry {
  stored: CertificateStored;
  /** What this one replaced without having been built yet. */
  fallback: Entry | null;
  broken: boolean;
}

export function createCertificateTable(options: CertificateTableOptions): CertificateTable {
  const byId = new Map<string, Entry>();
  const byHost = new Map<string, Entry>();
  const refusals = new Map<string, Refusal>();
  const contexts = new LRUCache<CertificateStored, SecureContext>({ max: options.maxContexts });
  let built = 0;

  function build(stored: CertificateStored): SecureContext {
    const { chain, sealedKey } = stored.value;
    // `createSecureContext` refuses a key that does not match the leaf.
    const context = createSecureContext({
      cert: chain,
      key: options.open(sealedKey, recordKey('certificate', stored.id)),
    });
    built += 1;
    return context;
  }

  function refuse({ id, revision }: CertificateStored, error: unknown): void {
    refusals.set(id, { kind: 'certificate', id, revision, reason: reasonOf(error) });
  }

  function replace(entry: Entry): void {
    const { id, value } = entry.stored;
    const before = byId.get(id);
    if (before !== undefined && before.stored.value.host !== value.host)
      byHost.delete(before.stored.value.host);
    byId.set(id, entry);
    byHost.set(value.host, entry);
  }

  /** The context of an entry, built now if need be. */
  function contextOf(entry: Entry): SecureContext | null {
    if (!entry.broken) {
      const kept = contexts.get(entry.stored);
      if (kept !== undefined) return kept;
      try {
        const context = build(entry.stored);
        contexts.set(entry.stored, context);
        entry.fallback = null;
        return context;
      } catch (error) {
        entry.broken = true;
        refuse(entry.stored, error);
        options.onRefused();
      }
    }
    return entry.fallback === null ? null : contextOf(entry.fallback);
  }

  return {
    revisionOf: (id) => byId.get(id)?.stored.revision ?? null,
    build(stored) {
      try {
        checkNames(stored.value);
        return build(stored);
      } catch (error) {
        refuse(stored, error);
        return null;
      }
    },
    put(stored, context) {
      refusals.delete(stored.id);
      contexts.set(stored, context);
      replace({ stored, fallback: null, broken: false });
    },
    putUnbuilt(stored) {
      const before = byId.get(stored.id);
      if (before !== undefined && sameMaterial(before.stored.value, stored.value)) {
        const context = contexts.get(before.stored);
        if (context !== undefined) contexts.set(stored, context);
        before.stored = stored;
        return;
      }
      // Refused before, as a commit: it has not become better by coming again.
      if (refusals.get(stored.id)?.revision === stored.revision) return;
      refusals.delete(stored.id);
      const fallback = before?.broken ? before.fallback : (before ?? null);
      const sameHost = fallback?.stored.value.host === stored.value.host;
      replace({ stored, fallback: sameHost ? fallback : null, broken: false });
    },
    delete(id) {
      refusals.delete(id);
      const entry = byId.get(id);
      if (entry === undefined) return;
      byId.delete(id);
      contexts.delete(entry.stored);
      if (byHost.get(entry.stored.value.host) === entry) byHost.delete(entry.stored.value.host);
    },
    ids: () => new Set([...byId.keys(), ...refusals.keys()]),
    find(name) {
      const exact = byHost.get(name);
      const context = exact === undefined ? null : contextOf(exact);
      if (context !== null) return context;
      const wildcard = wildcardOf(name);
      const covering = wildcard === null ? undefined : byHost.get(wildcard);
      return covering === undefined ? null : contextOf(covering);
    },
    get refusals() {
      return refusals.values();
    },
    get built() {
      return built;
    },
    get contexts() {
      return contexts.size;
    },
  };
}

/** Throws `bad_certificate` when the leaf does not name the host it is to be served for. */
function checkNames({ host, chain }: CertificateRecord): void {
  const name = host.startsWith('*.') ? `any${host.slice(1)}` : host;
  if (new X509Certificate(chain).checkHost(name, { subject: 'never' }) === undefined) {
    throw new AppError('bad_certificate', `the certificate does not name "${host}"`);
  }
}

function sameMaterial(a: CertificateRecord, b: CertificateRecord): boolean {
  return a.host === b.host && a.chain === b.chain && a.sealedKey === b.sealedKey;
}

/** A sentence for an operator. Errors of OpenSSL name no key material. */
function reasonOf(error: unknown): string {
  if (isAppError(error)) return error.message;
  const { reason, message } = error as Error & { reason?: string };
  return `the certificate cannot be used: ${reason ?? message}`;
}
