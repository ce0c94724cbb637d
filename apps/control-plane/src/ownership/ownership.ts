import type { Sealer } from '@lockstep/pki';
import type { DeniedAddresses } from '@lockstep/pki/denied-addresses';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import type { ChangeHub } from '../changes/change-hub.ts';
import type { Lookups } from '../dns/dns-lookup.ts';
import type { SettingsSource } from '../settings/settings-source.ts';
import { createHostOwnership, type HostOwnership } from './host-ownership.ts';
import { createHttpProofs } from './http-proofs.ts';
import { createOwnershipChecks, type TakeHost } from './ownership-checks.ts';
import { createOwnershipLooks } from './ownership-looks.ts';
import { createOwnershipTokens, type OwnershipTokens } from './ownership-tokens.ts';
import { createVerdicts, type Judge } from './verdicts.ts';

export interface OwnershipOptions {
  store: ConfigStore;
  hub: ChangeHub;
  sealer: Sealer;
  settings: SettingsSource;
  lookups: Lookups;
  /** Where the servers of hosts are not asked for a proof. */
  denied(): DeniedAddresses;
  /** Hosts that control planes serve themselves. */
  ownHosts: readonly string[];
  /** How a host that is proven goes over to the routes that wait for it. */
  take(tokens: OwnershipTokens): TakeHost;
  userAgent: string;
  log: Logger;
  now: () => number;
}

/** All that has to do with whose hosts are, wired up. */
export interface Ownership {
  hosts: HostOwnership;
  judge: Judge;
  close(): Promise<void>;
}

export function createOwnership(options: OwnershipOptions): Ownership {
  const { store, hub, sealer, settings, lookups, denied, ownHosts, take, userAgent, log, now } = options;
  const tokens = createOwnershipTokens({ store, sealer });
  const addressesOf = (name: string) => lookups.current().addresses(name);
  const http = createHttpProofs({ denied, addressesOf, userAgent });
  const looks = createOwnershipLooks({ tokens, lookups, http });
  const judge = createVerdicts({ store, settings: settings.current, looks, now });
  const hosts = createHostOwnership({ store, tokens, settings: settings.current, ownHosts, now });
  const checks = createOwnershipChecks({ store, hub, settings, judge, take: take(tokens), log, now });
  return { hosts, judge, close: checks.close };
}
