import type { StoredRecord } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { SettingsSource } from '../settings/settings-source.ts';
import { type HostPolicy, readHostPolicy } from './host-policy.ts';

/** What a step has to know of its host beside the order itself: read at once, after the order was taken up. */
export interface HostContext {
  certificate: StoredRecord<'certificate'> | null;
  policy: HostPolicy;
}

/** Reads it, and the settings with it. Throws `store_unavailable`. */
export async function readHostContext(
  store: ConfigStore,
  settings: Pick<SettingsSource, 'refresh'>,
  { id, value }: StoredRecord<'order'>,
): Promise<HostContext> {
  const [certificate, policy] = await Promise.all([
    store.get('certificate', id),
    readHostPolicy(store, value.host),
    settings.refresh(),
  ]);
  return { certificate, policy };
}
