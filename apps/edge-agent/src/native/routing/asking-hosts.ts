import { createHash } from 'node:crypto';
import { type RouteDefaults, type RouteRecord, servedHosts } from '@lockstep/contract';

/** What the handshakes of a host ask clients for. */
export interface AskedOfClients {
  /** PEM of all authorities that its routes name, each once. */
  ca: string;
  /** None of its routes is for clients without a certificate: the handshake ends. */
  required: boolean;
}

/** Which routes ask for certificates of clients. */
export interface AskingHosts {
  put(id: string, record: RouteRecord): void;
  delete(id: string): void;
  setDefaults(defaults: RouteDefaults): void;
  /** Whether any does; else nothing has to be looked for. */
  readonly any: boolean;
  /** What the routes of a host, those of its wildcard included, ask for together. */
  of(records: readonly RouteRecord[]): AskedOfClients | null;
  /** Another for each other set of hosts that ask, or of authorities; null where none does. */
  readonly digest: Buffer | null;
}

export function createAskingHosts(): AskingHosts {
  const asking = new Map<string, string>();
  let byDefault: RouteDefaults['clientCertificates'];
  let digest: Buffer | null | undefined = null;

  return {
    put(id, record) {
      const { clientCertificates } = record;
      if (clientCertificates === undefined) {
        this.delete(id);
        return;
      }
      asking.set(id, JSON.stringify([servedHosts(record), clientCertificates]));
      digest = undefined;
    },
    delete(id) {
      if (asking.delete(id)) digest = undefined;
    },
    setDefaults({ clientCertificates }) {
      byDefault = clientCertificates;
      digest = undefined;
    },
    get any() {
      return asking.size > 0 || byDefault !== undefined;
    },
    of(records) {
      const asked = records.map(({ clientCertificates = byDefault }) => clientCertificates);
      const authorities = new Set(asked.flatMap((one) => (one === undefined ? [] : [one.ca])));
      if (authorities.size === 0) return null;
      return { ca: [...authorities].join(''), required: asked.every((one) => one?.mode === 'require') };
    },
    get digest() {
      if (digest === undefined) {
        const all = JSON.stringify([byDefault ?? null, [...asking.values()].sort()]);
        digest = this.any ? createHash('sha256').update(all).digest() : null;
      }
      return digest;
    },
  };
}
