import type { StoredRecord } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { type HostPolicy, readHostPolicy } from './host-policy.ts';

/** What a step has to know of its host beside the order itself: read at once, after the order was taken up. */
export interface HostContext {
  certificate: StoredRecord<'certificate'> | null;
  policy: HostPolicy;
}

/** Throws `store_unavailable`. */
export async function readHostContext(
  store: ConfigStore,
  { id, value }: StoredRecord<'order'>,
): Promise<HostContext> {
  const [certificate, policy] = await Promise.all([
    store.get('certificate', id),
    readHostPolicy(store, value.host),
  ]);
  return { certificate, policy };
}
