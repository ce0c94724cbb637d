import { X509Certificate } from 'node:crypto';
import type { SecureContext } from 'node:tls';
import { AppError, type CertificateRecord, namesHost, type Refusal, recordKey } from '@lockstep/contract';
import { LRUCache } from 'lru-cache';
import { refusalOf } from '../../engine/refusal.ts';
import {
  type CertificateStored,
  createCertificateIndex,
  type HeldCertificate,
  namesOf,
} from './certificate-index.ts';

const { createSecureContext } = process.getBuiltinModule('node:tls');

export interface CertificateTableOptions {
  /** Opens a sealed key; throws `wrong_secret_key`. */
  open(sealed: string, context: string): string;
  maxContexts: number;
  /** A certificate delivered by a snapshot turned out unusable at a handshake. */
  onRefused(): void;
}

/** The certificates a worker holds, managed and brought. */
export interface CertificateTable {
  /** Builds the context of a changed certificate; null, and a refusal noted, when it cannot be put to use. */
  build(stored: CertificateStored): SecureContext | null;
  /** Puts in a certificate that `build` has built. */
  put(stored: CertificateStored, context: SecureContext): void;
  /** Puts in a certificate whose context is built at its first handshake; what it replaces serves on if that fails. */
  putUnbuilt(stored: CertificateStored): void;
  /**
   * Builds certificates that no handshake has needed yet, the newest first, for `forMs`, and keeps none: those that cannot be put to use are
   * refused. False when none is left.
   */
  checkUnbuilt(forMs: number): boolean;
  delete(id: string): void;
  /** Every id that is held or refused. */
  ids(): Iterable<string>;
  /** The context for a server name; null when no certificate covers it. */
  find(name: string): SecureContext | null;
  /** The same, for a handshake that asks the client for a certificate of these authorities (PEM). */
  findAsking(name: string, ca: string): SecureContext | null;
  /** The leaf that a server name is shown; null where there is none. */
  leafFor(name: string): X509Certificate | null;
  /** By its id. */
  leafOf(id: string): X509Certificate | null;
  /** PEM, by its id; null where there is none, or it cannot be put to use. */
  materialOf(id: string): { chain: string; key: string } | null;
  /**
   * That of an IP address, for clients that name no host and came to another address than the edge sees, behind a balancer or NAT; null where there
   * is none. Of several the first by id.
   */
  idForAddresses(): string | null;
  /** What the certificate of an id is served for; none where there is none. */
  hostsOf(id: string): readonly string[];
  /** Whether some certificate covers the host. */
  covers(host: string): boolean;
  /** What the edge shows upstreams that ask for it; null for one that is not held. The same object while it is the same certificate. */
  material(id: string): { chain: string; openKey(): string } | null;
  readonly refusals: Iterable<Refusal>;
  readonly built: number;
  readonly contexts: number;
}

export function createCertificateTable(options: CertificateTableOptions): CertificateTable {
  const byId = new Map<string, HeldCertificate>();
  const index = createCertificateIndex();
  const refused = new Map<string, { stored: CertificateStored; refusal: Refusal }>();
  const contexts = new LRUCache<CertificateStored, SecureContext>({ max: options.maxContexts });
  const asking = new LRUCache<CertificateStored, { ca: string; context: SecureContext }>({
    max: options.maxContexts,
  });
  /** Put in since the last look, in no order; and what is left of those looked at, the newest last. */
  const unbuilt = new Set<HeldCertificate>();
  let toCheck: HeldCertificate[] = [];
  const materials = new WeakMap<CertificateStored, { chain: string; openKey(): string }>();
  let built = 0;

  function build(stored: CertificateStored, ca?: string): SecureContext {
    const { chain, sealedKey } = stored.value;
    checkNames(stored.value);
    // `createSecureContext` refuses a key that does not match the leaf.
    const context = createSecureContext({
      cert: chain,
      key: options.open(sealedKey, recordKey('certificate', stored.id)),
      ...(ca !== undefined && { ca }),
    });
    built += 1;
    return context;
  }

  function refuse(stored: CertificateStored, error: unknown): void {
    refused.set(stored.id, { stored, refusal: refusalOf(stored, error) });
  }

  function replace(entry: HeldCertificate): void {
    const { id } = entry.stored;
    const before = byId.get(id);
    if (before !== undefined) index.remove(before);
    byId.set(id, entry);
    index.add(entry);
  }

  /** The context of an entry, built now if need be. */
  function contextOf(entry: HeldCertificate): SecureContext | null {
    if (!entry.broken) {
      const kept = contexts.get(entry.stored);
      if (kept !== undefined) return kept;
      try {
        const context = build(entry.stored);
        contexts.set(entry.stored, context);
        entry.fallback = null;
        return context;
      } catch (error) {
        breakEntry(entry, error);
      }
    }
    return entry.fallback === null ? null : contextOf(entry.fallback);
  }

  function askingContextOf(entry: HeldCertificate, ca: string): SecureContext | null {
    if (contextOf(entry) === null) return null;
    if (entry.broken) return askingContextOf(entry.fallback!, ca);
    const kept = asking.get(entry.stored);
    if (kept?.ca === ca) return kept.context;
    const context = build(entry.stored, ca);
    asking.set(entry.stored, { ca, context });
    return context;
  }

  function breakEntry(entry: HeldCertificate, error: unknown): void {
    entry.broken = true;
    refuse(entry.stored, error);
    options.onRefused();
  }

  function isOpen(entry: HeldCertificate): boolean {
    return byId.get(entry.stored.id) === entry && !entry.broken && !contexts.has(entry.stored);
  }

  return {
    build(stored) {
      try {
        return build(stored);
      } catch (error) {
        refuse(stored, error);
        return null;
      }
    },
    put(stored, context) {
      refused.delete(stored.id);
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
      const again = refused.get(stored.id);
      if (again !== undefined && sameMaterial(again.stored.value, stored.value)) return;
      refused.delete(stored.id);
      const fallback = before?.broken ? before.fallback : (before ?? null);
      const same = fallback !== null && sameNames(fallback.stored.value, stored.value);
      const entry = { stored, fallback: same ? fallback : null, broken: false };
      replace(entry);
      unbuilt.add(entry);
    },
    checkUnbuilt(forMs) {
      if (unbuilt.size > 0) {
        const all = [...toCheck.filter(isOpen), ...unbuilt];
        toCheck = all.sort((one, other) => one.stored.revision - other.stored.revision);
        unbuilt.clear();
      }
      const until = performance.now() + forMs;
      while (toCheck.length > 0 && performance.now() < until) {
        const entry = toCheck.pop()!;
        if (!isOpen(entry)) continue;
        try {
          build(entry.stored);
        } catch (error) {
          breakEntry(entry, error);
        }
      }
      return toCheck.length > 0;
    },
    delete(id) {
      refused.delete(id);
      const entry = byId.get(id);
      if (entry === undefined) return;
      byId.delete(id);
      contexts.delete(entry.stored);
      index.remove(entry);
    },
    ids: () => new Set([...byId.keys(), ...refused.keys()]),
    find: (name) => index.find(name, contextOf),
    findAsking: (name, ca) => index.find(name, (entry) => askingContextOf(entry, ca)),
    leafFor(name) {
      const entry = index.find(name, (one) => (contextOf(one) === null ? null : one));
      return entry === null ? null : new X509Certificate(entry.stored.value.chain);
    },
    leafOf(id) {
      const entry = byId.get(id);
      return entry === undefined ? null : new X509Certificate(entry.stored.value.chain);
    },
    materialOf(id) {
      const entry = byId.get(id);
      if (entry === undefined || contextOf(entry) === null || entry.broken) return null;
      const { chain, sealedKey } = entry.stored.value;
      return { chain, key: options.open(sealedKey, recordKey('certificate', id)) };
    },
    idForAddresses: () => index.ofAddresses()?.stored.id ?? null,
    hostsOf(id) {
      const entry = byId.get(id);
      return entry === undefined ? [] : namesOf(entry.stored.value);
    },
    covers: index.covers,
    material(id) {
      const stored = byId.get(id)?.stored;
      if (stored === undefined) return null;
      let held = materials.get(stored);
      if (held === undefined) {
        const { chain, sealedKey } = stored.value;
        held = { chain, openKey: () => options.open(sealedKey, recordKey('certificate', id)) };
        materials.set(stored, held);
      }
      return held;
    },
    get refusals() {
      return refused.values().map(({ refusal }) => refusal);
    },
    get built() {
      return built;
    },
    get contexts() {
      return contexts.size;
    },
  };
}

/** Throws `bad_certificate` when the leaf does not name a host it is to be served for. */
function checkNames(record: CertificateRecord): void {
  const leaf = new X509Certificate(record.chain);
  for (const host of namesOf(record)) {
    if (!namesHost(leaf, host))
      throw new AppError('bad_certificate', `the certificate does not name "${host}"`);
  }
}

function sameMaterial(a: CertificateRecord, b: CertificateRecord): boolean {
  return sameNames(a, b) && a.chain === b.chain && a.sealedKey === b.sealedKey;
}

function sameNames(a: CertificateRecord, b: CertificateRecord): boolean {
  return (a.names === undefined) === (b.names === undefined) && namesOf(a).join(' ') === namesOf(b).join(' ');
}
