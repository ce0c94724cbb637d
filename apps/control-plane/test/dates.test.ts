import t from 'tap';
import { renewalDate } from '../src/certificates/renewal-date.ts';
import { backOffMs } from '../src/issuance/back-off.ts';
import { firstRenewalDate } from '../src/issuance/renewal-dates.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

t.test('backs off 1, 10 and 100 minutes and then daily, within a tenth', async (t) => {
  for (const [failures, minutes] of [
    [1, 1],
    [2, 10],
    [3, 100],
  ] as const) {
    t.equal(
      backOffMs(failures, () => 0),
      Math.round(minutes * 60_000 * 0.9),
    );
    t.ok(backOffMs(failures, () => 0.999) < minutes * 60_000 * 1.1);
  }
  t.equal(
    backOffMs(4, () => 0.999),
    dayMs,
  );
  t.ok(backOffMs(1_000, () => 0) >= dayMs * 0.9);
});

t.test('renews at two thirds of the lifetime, at half below ten days, and never later', async (t) => {
  t.equal(
    renewalDate(0, 90 * dayMs, () => 0),
    60 * dayMs,
  );
  t.ok(renewalDate(0, 90 * dayMs, () => 0.999) > 58 * dayMs);
  t.equal(
    renewalDate(0, 160 * hourMs, () => 0),
    80 * hourMs,
  );
});

t.test('a certificate that was issued just now is not due for renewal, whatever its dates', async (t) => {
  const now = 1_000 * dayMs;
  // By the internal CA for an hour, backdated by an hour.
  t.ok(firstRenewalDate(now - hourMs, now + hourMs, now, () => 0.999) >= now + hourMs / 3);
  // Under a clock that is 70 days ahead.
  t.ok(firstRenewalDate(now - 70 * dayMs, now + 20 * dayMs, now) >= now + 6 * dayMs);
  t.ok(firstRenewalDate(now - 90 * dayMs, now + 1_000, now) >= now + 60_000);
  t.equal(
    firstRenewalDate(now - hourMs, now + 90 * dayMs, now, () => 0),
    renewalDate(now - hourMs, now + 90 * dayMs, () => 0),
    'that of a common one is as ever',
  );
});
