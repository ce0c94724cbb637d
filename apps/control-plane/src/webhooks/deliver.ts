import type { WebhookRecord } from '@lockstep/contract';
import { AppError, recordKey } from '@lockstep/contract';
import type { Sealer } from '@lockstep/pki';
import { addressDenied } from '@lockstep/pki/denied-addresses';

/** What a target says is read for its first words alone. */
const mostReadBytes = 1_024;
const bodyTimeoutMs = 1_000;
const answerTimeoutMs = 15_000;

/** A secret of a webhook, and until when it signs too: null: for good. */
export interface WebhookSecret {
  secret: string;
  until: string | null;
}

export interface Message {
  id: string;
  at: number;
  body: string;
}

export interface Answer {
  ok: boolean;
  status: number | null;
  detail: string;
  durationMs: number;
}

export type Deliver = (
  id: string,
  webhook: Pick<WebhookRecord, 'url' | 'sealedSecrets'>,
  message: Message,
  signal: AbortSignal,
) => Promise<Answer>;

/** Sends one message, signed by every secret that holds (Standard Webhooks). Never throws for what a target does. */
export function createDeliver({
  fetch,
  sealer,
  plainAllowed,
  userAgent,
  timeoutMs = answerTimeoutMs,
}: {
  /** Guarded: what it connects to is looked at as it connects. */
  fetch: typeof globalThis.fetch;
  sealer: Sealer;
  plainAllowed(): boolean;
  userAgent: string;
  timeoutMs?: number;
}): Deliver {
  return async (id, { url, sealedSecrets }, { id: messageId, at, body }, signal) => {
    const began = performance.now();
    const ended = (ok: boolean, status: number | null, detail: string): Answer => ({
      ok,
      status,
      detail,
      durationMs: Math.round(performance.now() - began),
    });
    if (!plainAllowed() && !url.startsWith('https:'))
      return ended(false, null, 'the target is not an https address');
    const { Webhook } = await import('standardwebhooks');
    const time = new Date(at);
    const signatures = secretsOf(sealer, id, sealedSecrets, at).map(({ secret }) =>
      new Webhook(secret).sign(messageId, time, body),
    );
    try {
      const answer = await fetch(url, {
        method: 'POST',
        redirect: 'manual',
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
        headers: {
          'content-type': 'application/json',
          'user-agent': userAgent,
          'webhook-id': messageId,
          'webhook-timestamp': String(Math.floor(at / 1_000)),
          'webhook-signature': signatures.join(' '),
        },
        body,
      });
      await readSome(answer);
      const { status } = answer;
      if (status >= 300 && status < 400)
        return ended(false, status, `the target answered ${status}; redirects are not followed`);
      return ended(status >= 200 && status < 300, status, `the target answered ${status}`);
    } catch (error) {
      return ended(false, null, `the target gave no answer: ${reasonOf(error, timeoutMs)}`);
    }
  };
}

export function secretsOf(sealer: Sealer, id: string, sealed: string, now: number): WebhookSecret[] {
  const secrets: WebhookSecret[] = JSON.parse(sealer.open(sealed, recordKey('webhook', id)));
  return secrets.filter(({ until }) => until === null || Date.parse(until) > now);
}

/** A short answer is read so that its connection is of use again; what it says, and how long it takes to, means nothing. */
async function readSome({ body }: Response): Promise<void> {
  if (body === null) return;
  const reader = body.getReader();
  const patience = setTimeout(() => reader.cancel().catch(() => {}), bodyTimeoutMs);
  try {
    for (let read = 0; read < mostReadBytes; ) {
      const { done, value } = await reader.read();
      if (done) return;
      read += value.byteLength;
    }
    await reader.cancel();
  } catch {
    // its status was there
  } finally {
    clearTimeout(patience);
  }
}

function reasonOf(error: unknown, timeoutMs: number): string {
  if (error instanceof AppError) return error.message;
  const { name, message, cause } = Object(error);
  if (name === 'TimeoutError') return `none within ${timeoutMs / 1_000} s`;
  const { code, message: text } = Object(cause);
  // What a name inside of this network stands for is not a tenant's to know.
  if (code === addressDenied) return 'it leads to an address where nothing may lead';
  // As OpenSSL names what is wrong with a chain (X509_V_ERR_…), and Node with a name.
  if (/CERT|_SIGNATURE$|^CRL_/.test(code)) return `its certificate is not to be trusted: ${text}`;
  if (/^ERR_SSL_|^EPROTO$/.test(code)) return `it does not speak TLS there, or an older one (${code})`;
  return String(text || code || message).slice(0, 300);
}
