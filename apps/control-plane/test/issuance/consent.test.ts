import { AppError, type CertificateRecord, idleOrder, type OrderRecord } from '@lockstep/contract';
import t from 'tap';
import { createConsent } from '../../src/issuance/consent.ts';

const now = Date.parse('2026-01-01T00:00:00Z');
const at = new Date(now).toISOString();
const host = 'shop.example.com';
const certificate = { kind: 'certificate' as const, id: host, revision: 1, value: {} as CertificateRecord };

function decide(
  answer: boolean | Error,
  changes: Partial<OrderRecord>,
  { has = false, named = false } = {},
): Promise<OrderRecord | null | 'not asked'> {
  let asked = false;
  const consent = createConsent({
    async stillAllowed() {
      asked = true;
      if (typeof answer === 'boolean') return answer;
      throw answer;
    },
    now: () => now,
    random: () => 0.5,
  });
  const value = { ...idleOrder(host, at, at), onDemand: true, ...changes };
  return consent({ kind: 'order', id: host, revision: 2, value }, has ? certificate : null, named).then(
    (order) => (order === null && !asked ? 'not asked' : order),
  );
}

t.test('the endpoint is asked before each attempt but the first, which follows its answer', async (t) => {
  const waited = { since: at, checks: 1, detail: '' };
  t.equal(await decide(false, {}), 'not asked');
  t.equal(await decide(true, {}, { has: true }), null, 'a renewal');
  for (const later of [{ attempts: 1 }, { waitingForDns: waited }])
    t.match(await decide(false, later), { unusedSince: at, dueAt: new Date(now + 3_600_000).toISOString() });
});

t.test('it is not asked about names of routes, nor in the middle of an attempt', async (t) => {
  t.equal(await decide(false, { attempts: 1, onDemand: false }), 'not asked');
  t.equal(await decide(false, { attempts: 1 }, { named: true }), 'not asked');
  t.equal(await decide(false, { attempts: 1, beganAt: at }), 'not asked');
});

t.test('without a clear answer the order gets a date, and says why', async (t) => {
  const unclear = new AppError('upstream_unreachable', 'no clear answer');
  t.match(await decide(unclear, { renewal: 'due' }, { has: true }), {
    unusedSince: null,
    renewal: 'due',
    lastError: { detail: 'no clear answer' },
    dueAt: new Date(now + 600_000).toISOString(),
  });
});
