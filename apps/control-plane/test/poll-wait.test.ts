import t from 'tap';
import { pollWaitMs } from '../src/issuance/acme/poll-wait.ts';

const began = Date.parse('2026-12-01T00:00:00.000Z');
const order = { beganAt: new Date(began).toISOString() };

t.test('an order that a CA never finishes becomes dates, and ends after an hour', async (t) => {
  let now = began;
  let polls = 0;
  let held = 0;
  const poll = () => {
    const waitMs = pollWaitMs(order, null, now);
    polls += 1;
    if (waitMs <= 1_000) held += waitMs;
    now += waitMs;
  };
  t.throws(
    () => {
      for (;;) poll();
    },
    { kind: 'unavailable', message: /within an hour/ },
  );
  t.ok(now - began < 3_700_000, 'given up in time');
  t.ok(polls < 120, `asked ${polls} times`);
  t.ok(held <= 11_000, `kept its place for ${held} ms`);
});

t.test('the CA’s own word on when to ask again goes before, within reason', (t) => {
  t.equal(pollWaitMs(order, 5_000, began + 1_000), 5_000);
  t.equal(pollWaitMs(order, 30 * 86_400_000, began), 3_600_000);
  t.equal(pollWaitMs(order, 0, began), 1_000);
  t.end();
});
