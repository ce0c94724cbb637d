import { type PutSettings, settingsId } from '@lockstep/contract';
import type { Sealer } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import type { ChangeHub } from '../changes/change-hub.ts';
import { joinProvider, openSecrets } from '../issuers/secret-fields.ts';
import { defaultSettings, settingsKey } from './settings-service.ts';

/** The settings of the fleet as they stand, secrets opened. Kept current by the store's changes; defaults before the first PUT. */
export interface SettingsSource {
  current(): PutSettings;
  /** Reads them now: what another control plane has answered for is never used as it was before. Throws `store_unavailable`. */
  refresh(): Promise<void>;
  close(): void;
}

export interface SettingsSourceOptions {
  store: ConfigStore;
  sealer: Sealer;
  hub: ChangeHub;
  log: Logger;
}

/** Before another try to read what changed. */
const retryMs = 2_000;

/** Throws `store_unavailable` and `wrong_secret_key` at the start; later troubles leave the settings as they were known last. */
export async function createSettingsSource({
  store,
  sealer,
  hub,
  log,
}: SettingsSourceOptions): Promise<SettingsSource> {
  let known = defaultSettings();
  let epoch: string | null = null;
  let revision = 0;
  let wanted = 0;
  let reading = false;
  let closed = false;
  let timer: NodeJS.Timeout | null = null;

  async function load(): Promise<void> {
    const record = await store.get('settings', settingsId);
    // Two reads at once may end in the other order. In another epoch the settings may well be older ones.
    if (store.epoch === epoch && (record?.revision ?? 0) < revision) return;
    epoch = store.epoch;
    revision = record?.revision ?? 0;
    const { dnsProvider, ...config } = { ...defaultSettings(), ...record?.value.config };
    const secrets = openSecrets(sealer, record?.value.sealedSecrets ?? null, settingsKey);
    known =
      dnsProvider === undefined
        ? config
        : { ...config, dnsProvider: joinProvider(dnsProvider, secrets.dnsProvider) };
    store.requireReplicas(known.durability);
    const { keepFor, entries } = known.journal;
    store.boundJournal({ ageMs: keepFor * 1_000, entries });
    store.boundEvents({ ageMs: known.events.keepFor * 1_000, entries: known.events.entries });
  }

  /** Reads until nothing has changed since the read began, so that the last change always wins. */
  async function follow(): Promise<void> {
    wanted += 1;
    if (reading || closed) return;
    reading = true;
    try {
      for (let done = 0; done !== wanted && !closed; ) {
        const turn = wanted;
        await load();
        done = turn;
      }
    } catch (error) {
      log.warn({ err: error }, 'cannot read the settings; keeping those known');
      if (!closed) timer = setTimeout(follow, retryMs);
    } finally {
      reading = false;
    }
  }

  const unwatch = hub.watch((entry) => {
    if (entry === null || entry.changes.some(({ kind }) => kind === 'settings')) follow();
  });
  try {
    reading = true;
    await load();
  } catch (error) {
    unwatch();
    throw error;
  } finally {
    reading = false;
  }
  if (wanted > 0) follow();

  return {
    current: () => known,
    refresh: load,
    close() {
      closed = true;
      unwatch();
      if (timer !== null) clearTimeout(timer);
    },
  };
}
