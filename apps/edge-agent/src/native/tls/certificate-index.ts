import { addressOfHost, type CertificateRecord, type StoredRecord, wildcardOf } from '@lockstep/contract';

export type CertificateStored = StoredRecord<'certificate'>;

export interface HeldCertificate {
  stored: CertificateStored;
  /** What this one replaced without having been built yet. */
  fallback: HeldCertificate | null;
  broken: boolean;
}

/** Held certificates by the names they are served for. */
export interface CertificateIndex {
  add(entry: HeldCertificate): void;
  remove(entry: HeldCertificate): void;
  /**
   * The first certificate for a server name that `use` can use: brought before managed, exact before wildcard, of several
   * brought ones the one that lasts longest. An expired brought one comes last: better than none.
   */
  find<T>(name: string, use: (entry: HeldCertificate) => T | null): T | null;
  /** The first by id of those that are for an IP address; null where none is. */
  ofAddresses(): HeldCertificate | null;
  /** Whether any certificate covers a host, usable or not. */
  covers(host: string): boolean;
}

export function createCertificateIndex(): CertificateIndex {
  const managed = new Map<string, HeldCertificate>();
  const brought = new Map<string, HeldCertificate[]>();
  /** Those that are for an IP address, which are few, in the order of their ids. */
  let forAddresses: HeldCertificate[] = [];

  function findBrought<T>(
    name: string | null,
    expired: boolean,
    use: (entry: HeldCertificate) => T | null,
  ): T | null {
    const entries = name === null ? undefined : brought.get(name);
    if (entries === undefined) return null;
    const now = Date.now();
    for (const entry of entries) {
      if (endOf(entry) <= now !== expired) continue;
      const used = use(entry);
      if (used !== null) return used;
    }
    return null;
  }

  return {
    add(entry) {
      if (namesOf(entry.stored.value).some((name) => addressOfHost(name) !== null))
        forAddresses = [...forAddresses, entry].sort((a, b) => (a.stored.id < b.stored.id ? -1 : 1));
      const { host, names } = entry.stored.value;
      if (names === undefined) managed.set(host, entry);
      else for (const name of names) brought.set(name, [...(brought.get(name) ?? []), entry].sort(byEnd));
    },
    remove(entry) {
      if (forAddresses.length > 0) forAddresses = forAddresses.filter((one) => one !== entry);
      const { host, names } = entry.stored.value;
      if (names === undefined) {
        if (managed.get(host) === entry) managed.delete(host);
        return;
      }
      for (const name of names) {
        const rest = (brought.get(name) ?? []).filter((one) => one !== entry);
        if (rest.length === 0) brought.delete(name);
        else brought.set(name, rest);
      }
    },
    find(name, use) {
      const wildcard = wildcardOf(name);
      const anyBrought = brought.size > 0;
      if (anyBrought) {
        const used = findBrought(name, false, use) ?? findBrought(wildcard, false, use);
        if (used !== null) return used;
      }
      for (const key of [name, wildcard]) {
        const entry = key === null ? undefined : managed.get(key);
        const used = entry === undefined ? null : use(entry);
        if (used !== null) return used;
      }
      return anyBrought ? (findBrought(name, true, use) ?? findBrought(wildcard, true, use)) : null;
    },
    ofAddresses: () => forAddresses[0] ?? null,
    covers(host) {
      const wildcard = wildcardOf(host) ?? host;
      return managed.has(host) || managed.has(wildcard) || brought.has(host) || brought.has(wildcard);
    },
  };
}

/** All that a certificate is served for. */
export function namesOf({ names, host }: CertificateRecord): readonly string[] {
  return names ?? [host];
}

/** When it expires, in milliseconds since 1970; an unreadable date does not take a certificate out of service. */
function endOf({ stored }: HeldCertificate): number {
  return Date.parse(stored.value.notAfter) || Number.POSITIVE_INFINITY;
}

function byEnd(a: HeldCertificate, b: HeldCertificate): number {
  return endOf(b) - endOf(a) || (a.stored.id < b.stored.id ? -1 : 1);
}
