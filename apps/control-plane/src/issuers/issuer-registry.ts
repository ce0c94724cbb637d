import type { PutIssuer, PutSettings } from '@lockstep/contract';
import type { Sealer } from '@lockstep/pki';
import type { Issuer } from './issuer.ts';
import { type KnownIssuers, openIssuer } from './known-issuers.ts';

/** Longer than a CA has for an answer. */
const retirementMs = 60_000;

/** The issuers there are, ready for use. */
export interface IssuerRegistry {
  /** The issuer as it is set now; null when there is none of this name. */
  find(name: string): Promise<Issuer | null>;
  /** The chain of routes that name none. */
  defaultChain(): string[];
  close(): void;
}

export interface IssuerRegistryOptions {
  sealer: Sealer;
  settings: { current(): Pick<PutSettings, 'issuers'> };
  known: KnownIssuers;
  build(name: string, config: PutIssuer): Issuer;
}

export function createIssuerRegistry({
  sealer,
  settings,
  known,
  build,
}: IssuerRegistryOptions): IssuerRegistry {
  const built = new Map<string, { revision: number | null; issuer: Issuer }>();
  const retired = new Map<Issuer, NodeJS.Timeout>();

  /** It may be asking its CA for an order, whose answer must not be lost: it is closed once that is over. */
  function retire(issuer: Issuer): void {
    const end = () => {
      retired.delete(issuer);
      issuer.close();
    };
    retired.set(issuer, setTimeout(end, retirementMs).unref());
  }

  return {
    async find(name) {
      // Read each time: an issuer that was changed at another control plane is never used as it was.
      const [found] = await known.getMany([name]);
      const revision = found?.record?.revision ?? null;
      const before = built.get(name);
      if (before !== undefined && before.revision === revision) return before.issuer;
      if (before !== undefined) retire(before.issuer);
      built.delete(name);
      if (found == null) return null;
      const issuer = build(name, openIssuer(found, sealer));
      built.set(name, { revision, issuer });
      return issuer;
    },
    defaultChain: () => settings.current().issuers ?? known.defaultChain,
    close() {
      for (const { issuer } of built.values()) issuer.close();
      for (const [issuer, timer] of retired) {
        clearTimeout(timer);
        issuer.close();
      }
    },
  };
}
