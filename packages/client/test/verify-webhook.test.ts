import { createHmac } from 'node:crypto';
import t from 'tap';
import { verifyWebhook } from '../src/index.ts';

const key = Buffer.from('0123456789abcdef0123456789abcdef');
const secret = `whsec_${key.toString('base64')}`;
const body = '{"type":"route.live"}';

/** As the specification of Standard Webhooks has it. */
function signed(at: number, text: string): Record<string, string> {
  const seconds = String(Math.floor(at / 1_000));
  const signature = createHmac('sha256', key).update(`msg_1.${seconds}.${text}`).digest('base64');
  return { 'Webhook-Id': 'msg_1', 'webhook-timestamp': seconds, 'webhook-signature': `v1,${signature}` };
}

t.test('a delivery that was signed with the secret is given, in whatever form its fields come', (t) => {
  const headers = signed(Date.now(), body);
  t.strictSame(verifyWebhook(body, headers, secret), { type: 'route.live' });
  t.strictSame(verifyWebhook(Buffer.from(body), new Headers(headers), secret), { type: 'route.live' });
  t.end();
});

t.test('another body, another secret and an old delivery are refused', (t) => {
  const headers = signed(Date.now(), body);
  t.throws(() => verifyWebhook(`${body} `, headers, secret));
  t.throws(() => verifyWebhook(body, headers, `whsec_${Buffer.alloc(32).toString('base64')}`));
  t.throws(() => verifyWebhook(body, signed(Date.now() - 600_000, body), secret));
  t.throws(() => verifyWebhook(body, {}, secret));
  t.end();
});

t.test('what could not be told from a forgery is called a mistake of the caller', (t) => {
  const headers = signed(Date.now(), body);
  const parsed = JSON.parse(body) as string;
  t.throws(() => verifyWebhook(parsed, headers, secret), { name: 'TypeError', message: /before any parser/ });
  const missing = undefined as unknown as string;
  t.throws(() => verifyWebhook(body, headers, missing), { name: 'TypeError', message: /secret is missing/ });
  t.end();
});
