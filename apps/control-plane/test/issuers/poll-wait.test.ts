import t from 'tap';
import { pollWait } from '../../src/issuers/acme/poll-wait.ts';

const now = Date.parse('2026-01-01T00:00:00Z');
const began = (secondsAgo: number) => ({ orderedAt: new Date(now - secondsAgo * 1_000).toISOString() });

function failureOf(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return error;
  }
}

t.test('a CA is asked each second, and ever more rarely the longer an order takes', async (t) => {
  const waits = [0, 5, 60, 3_000].map((seconds) => pollWait(began(seconds), null, now));
  t.strictSame(waits, [1_000, 1_000, 6_000, 60_000]);
});

t.test(
  'its Retry-After is heeded; one of hours, or an hour without a certificate, is a failure that passes',
  async (t) => {
    t.equal(pollWait(began(60), 3_000, now), 3_000);
    t.equal(pollWait(began(0), 600_000, now), 600_000);
    t.match(
      failureOf(() => pollWait(began(0), 86_400_000, now)),
      { kind: 'unavailable', retryAfterMs: 86_400_000 },
    );
    t.match(
      failureOf(() => pollWait(began(3_600), 3_000, now)),
      { kind: 'unavailable', message: /within an hour/ },
    );
  },
);

t.test('begins with as little as its caller thinks enough, and grows all the same', async (t) => {
  t.equal(pollWait(began(0), null, now, 100), 100);
  t.equal(pollWait(began(30), null, now, 100), 3_000);
});
