import { Webhook } from 'standardwebhooks';
import type { Event } from './events.ts';

/** An event, or what `/v1/webhooks/{id}/test` sends. */
export type WebhookMessage =
  | (Event & { timestamp: string })
  | { id: string; type: 'webhook.test'; timestamp: string; data?: undefined };

/**
 * What a webhook delivered, once its signature (Standard Webhooks) is found to be made with `secret`, and not more than five minutes ago.
 * `body` is the body to the byte, before any parser. Throws where it is not; a `TypeError` where it could not be told, which is a mistake of
 * whoever calls.
 */
export function verifyWebhook(
  body: string | Uint8Array,
  headers: Record<string, string | string[] | undefined> | Headers,
  secret: string,
): WebhookMessage {
  if (typeof secret !== 'string' || secret === '')
    throw new TypeError(
      'verifyWebhook: the secret is missing; it is the whsec_… that the webhook was made with',
    );
  if (typeof body !== 'string' && !(body instanceof Uint8Array))
    throw new TypeError(
      'verifyWebhook: the body is not as it came; give its bytes or its text, from before any parser',
    );
  const fields = headers instanceof Headers ? Object.fromEntries(headers) : headers;
  const plain = Object.entries(fields).flatMap(([name, value]) =>
    typeof value === 'string' ? [[name.toLowerCase(), value]] : [],
  );
  const text = typeof body === 'string' ? body : new TextDecoder().decode(body);
  return new Webhook(secret).verify(text, Object.fromEntries(plain)) as WebhookMessage;
}
