import type { WebhookDelivery } from '../api/webhook.ts';
import { recordKind } from './kind-module.ts';

/** Where events are sent, and which. */
export interface WebhookRecord {
  url: string;
  description: string | null;
  /** Null: of all. */
  types: string[] | null;
  routes: string[] | null;
  tenant: string | null;
  /** In JSON, the newest first: each a secret, and until when it signs too (null: for good). Sealed with `webhook/<id>`. */
  sealedSecrets: string;
  disabled: { at: string; reason: string } | null;
  createdAt: string;
  updatedAt: string;
}

export const webhook = recordKind<WebhookRecord>()({
  kind: 'webhook',
  audience: 'control',
  version: 1,
  secret: { sealedSecrets: 'control' },
  journal: () => true,
});

/** How far the events are that a webhook was sent. Whoever has its lease writes it. */
export interface WebhookStateRecord {
  /** The id of the last event that was taken, or is not for it. */
  after: string;
  /** Of the next one, that failed; and since when. */
  attempts: number;
  failingSince: string | null;
  /** When it is tried again; null: as soon as there is an event. */
  dueAt: string | null;
  /** When events were no longer kept that had not been sent; null: never. */
  gapAt: string | null;
  /** The latest first. */
  deliveries: WebhookDelivery[];
}

export const webhookState = recordKind<WebhookStateRecord>()({
  kind: 'webhook-state',
  audience: 'control',
  version: 1,
  secret: {},
  journal: () => false,
});
