import t from 'tap';
import { backOffMs } from '../src/issuance/back-off.ts';
import { renewalDate } from '../src/issuance/renewal.ts';

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
