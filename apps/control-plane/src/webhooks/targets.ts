import type { NodePresence, PutSettings } from '@lockstep/contract';
import { createDenied, type Denied } from '../outbound/denied.ts';

/** Addresses that are nobody's in public: RFC 6890, and what else is for one network alone. */
const privateRanges = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12'],
  ...['192.0.0.0/24', '192.168.0.0/16', '198.18.0.0/15', '224.0.0.0/4', '240.0.0.0/4'],
  ...['::/128', '::1/128', 'fc00::/7', 'fe80::/10', 'ff00::/8'],
];

/** Where webhooks may not lead: where nothing may, and unless the settings say `any`, to private addresses. */
export function createWebhookTargets({
  settings,
  nodes,
  ownServices,
}: {
  settings(): Pick<PutSettings, 'edge' | 'webhookTargets'>;
  nodes(): Pick<NodePresence, 'report'>[];
  ownServices: Parameters<typeof createDenied>[0]['ownServices'];
}): Denied {
  return createDenied({
    settings() {
      const { edge, webhookTargets } = settings();
      return webhookTargets === 'any'
        ? { edge }
        : { edge: { ...edge, deny: [...edge.deny, ...privateRanges] } };
    },
    nodes,
    ownServices,
  });
}
