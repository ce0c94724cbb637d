import { Webhook } from 'standardwebhooks';

/**
 * What a webhook delivered, once its signature (Standard Webhooks) is found to be made with `secret`, and not more than five minutes ago.
 * `body` is the body to the byte, before any parser. Throws where it is not.
 */
export function verifyWebhook(
  body: string | Uint8Array,
  headers: Record<string, string | string[] | undefined> | Headers,
  secret: string,
): unknown {
  const fields = headers instanceof Headers ? Object.fromEntries(headers) : headers;
  const plain = Object.entries(fields).flatMap(([name, value]) =>
    typeof value === 'string' ? [[name.toLowerCase(), value]] : [],
  );
  const text = typeof body === 'string' ? body : new TextDecoder().decode(body);
  return new Webhook(secret).verify(text, Object.fromEntries(plain));
}
