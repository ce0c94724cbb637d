import type { PutSettings } from '@lockstep/contract';
import { createDenied, type Denied, type DeniedOptions } from '../outbound/denied.ts';
import { createPublicOnly } from '../outbound/public-only.ts';

/** Where webhooks may not lead: where nothing may, and unless the settings say `any`, to private addresses. */
export function createWebhookTargets({
  settings,
  ...options
}: Omit<DeniedOptions, 'settings'> & {
  settings(): Pick<PutSettings, 'edge' | 'webhookTargets'>;
}): Denied {
  const anywhere = createDenied({ settings, ...options });
  const inPublic = createPublicOnly({ settings, ...options });
  const current = () => (settings().webhookTargets === 'any' ? anywhere : inPublic);
  return {
    now: () => current().now(),
    check: (url, pointer, deny) => current().check(url, pointer, deny),
  };
}
