import type { PutIssuer } from '@lockstep/contract';
import type { Sealer } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';
import { openIssuer } from '../issuers/issuer-service.ts';
import type { SettingsSource } from '../settings/settings-source.ts';
import type { Issuer } from './issuer.ts';

/** The issuers there are: those of the API, before the environment's `acme` and the built-in `internal`. */
export interface IssuerRegistry {
  /** The issuer as it is set now; null when there is none of this name. */
  find(name: string): Promise<Issuer | null>;
  /** The chain of routes that name none. */
  defaultChain(): string[];
  close(): void;
}

export interface IssuerRegistryOptions {
  store: ConfigStore;
  sealer: Sealer;
  settings: SettingsSource;
  /** The configuration of issuers that are not in the store, by name. */
  fixed: Record<string, PutIssuer>;
  build(name: string, config: PutIssuer): Issuer;
}

export function createIssuerRegistry(options: IssuerRegistryOptions): IssuerRegistry {
  const { store, sealer, settings, fixed, build } = options;
  const built = new Map<string, { revision: number | null; issuer: Issuer }>();

  return {
    async find(name) {
      // Read each time: an issuer that was changed at another control plane is never used as it was.
      const record = await store.get('issuer', name);
      const revision = record?.revision ?? null;
      const known = built.get(name);
      if (known !== undefined && known.revision === revision) return known.issuer;
      known?.issuer.close();
      built.delete(name);
      const config = record === null ? fixed[name] : openIssuer(record, sealer);
      if (config === undefined) return null;
      const issuer = build(name, config);
      built.set(name, { revision, issuer });
      return issuer;
    },
    defaultChain: () => settings.current().issuers ?? [fixed.acme === undefined ? 'internal' : 'acme'],
    close() {
      for (const { issuer } of built.values()) issuer.close();
    },
  };
}
