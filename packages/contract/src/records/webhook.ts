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

/** What is to be sent yet of one subject, in order: the next when the one before was taken, or given up. */
export interface WaitingSubject {
  /** `<kind>/<id>`. */
  subject: string;
  /** The ids of the first of its events. */
  events: string[];
  /** The id of the last in `events`, where the history has more of it between that and `after`. */
  more: string | null;
  /** Of the first event, that failed; and since when. */
  attempts: number;
  failingSince: string | null;
  /** When it is tried again; null: at once. */
  dueAt: string | null;
  /** Nothing at all was taken since it failed first. */
  withAll: boolean;
}

/** How far the events are that a webhook was sent. Whoever has its lease writes it. */
export interface WebhookStateRecord {
  /** All up to this event were taken, given up, or are not for it, but for those that wait in `subjects`. */
  after: string;
  subjects: WaitingSubject[];
  /** Since when nothing was taken, where something failed since; null: it is well. */
  failingSince: string | null;
  /** When it took something last. */
  takenAt: string | null;
  /** When the first of `subjects` is tried again; null: as soon as there is an event. */
  dueAt: string | null;
  /** When events were no longer kept that had not been sent; null: never. */
  gapAt: string | null;
  /** So many tries, and so many events that were given up: what is kept of them lies in places that are used in turn. */
  tries: number;
  givenUp: number;
}

export const webhookState = recordKind<WebhookStateRecord>()({
  kind: 'webhook-state',
  audience: 'control',
  version: 1,
  secret: {},
  journal: () => false,
});

/** One of the latest deliveries of a webhook, under `<webhook>/<place>`. */
export type WebhookDeliveryRecord = WebhookDelivery;

export const webhookDelivery = recordKind<WebhookDeliveryRecord>()({
  kind: 'webhook-delivery',
  audience: 'control',
  version: 1,
  secret: {},
  journal: () => false,
});
