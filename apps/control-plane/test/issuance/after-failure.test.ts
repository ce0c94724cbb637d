import { idleOrder, type OrderRecord } from '@lockstep/contract';
import t from 'tap';
import { afterFailure, type FailedStep } from '../../src/issuance/after-failure.ts';
import { type FailureKind, IssuerFailure, type IssuerFailureOptions } from '../../src/issuers/issuer.ts';

const now = Date.parse('2026-12-01T00:00:00.000Z');
const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const later = (ms: number) => new Date(now + ms).toISOString();
const idle: OrderRecord = {
  ...idleOrder('shop.example.com', later(0), later(0)),
  issuer: 'one',
  beganAt: later(-minute),
  orderedAt: later(-minute),
  attempts: 1,
};
const begun: OrderRecord = { ...idle, step: 'placed', orderUrl: 'https://ca.example.net/order/1' };

function fail(
  order: OrderRecord,
  kind: FailureKind,
  others: Partial<FailedStep> & { options?: Omit<IssuerFailureOptions, 'kind'> } = {},
) {
  const failure = new IssuerFailure('it failed', { kind, ...others.options });
  const chain = ['one', ...(others.others ?? [])];
  return afterFailure({
    order,
    issuer: 'one',
    failure,
    others: [],
    chain,
    expiresAt: null,
    now,
    random: () => 0.5,
    ...others,
  });
}

t.test('the next issuer is tried at once where waiting for this one would not help', async (t) => {
  for (const kind of ['unavailable', 'refused', 'limit'] as const) {
    const { order, failed, ended, next } = fail(idle, kind, { others: ['two', 'three'] });
    t.match(order, { issuer: 'two', dueAt: later(0), beganAt: idle.beganAt, failures: 0 }, kind);
    t.match(order.setbacks, { one: { failures: 1, until: later(minute) } }, kind);
    t.strictSame([failed, ended, next], [true, true, 'The next issuer, "two", is tried at once.'], kind);
  }
});

t.test('after the last, the chain has its turn again when the first of it may be tried', async (t) => {
  const setbacks = { zero: { failures: 1, until: later(5 * minute) } };
  const options = { chain: ['zero', 'one'] };
  const once = fail({ ...idle, setbacks }, 'refused', options);
  t.match(once.order, { step: 'idle', issuer: null, failures: 1, dueAt: later(minute) });
  const often = { ...setbacks, one: { failures: 3, until: later(0) } };
  const again = fail({ ...idle, failures: 3, setbacks: often }, 'refused', options);
  t.match(again.order, { failures: 4, dueAt: later(5 * minute) });
  t.match(again.order.setbacks, { one: { failures: 4, until: later(day) } });
  t.equal(again.next, `It is tried again at ${later(5 * minute)}.`);
});

t.test('a CA that asks for peace gets it: a short while is waited for, a long one gone round', async (t) => {
  const limit = (retryAfterMs: number, others: string[], order = idle) =>
    fail(order, 'limit', { others, options: { retryAfterMs } });
  t.match(limit(20_000, ['two']), { failed: false, order: { issuer: null, dueAt: later(20_000) } });
  const again = { ...idle, setbacks: { one: { failures: 1, until: later(0) } } };
  t.match(limit(20_000, ['two'], again), { failed: true }, 'a second one is told of');
  t.match(limit(2 * hour, ['two']).order, { issuer: 'two', dueAt: later(0) });
  t.match(limit(2 * hour, []).order, { issuer: null, dueAt: later(2 * hour) });
  t.match(limit(30 * day, []).order, { dueAt: later(day) }, 'but no more than a day');
  t.match(limit(2 * hour, ['two'], begun), { ended: true, order: { issuer: 'two', orderUrl: null } });
});

t.test(
  'an order that the CA has begun is kept while it stumbles, and told of when that takes long',
  async (t) => {
    let order = begun;
    for (const seconds of [2, 4, 8, 16, 32]) {
      const reaction = fail(order, 'unavailable', { others: ['two'] });
      t.match(reaction, { failed: false, ended: false });
      t.match(reaction.order, { orderUrl: begun.orderUrl, step: 'placed', dueAt: later(seconds * 1_000) });
      order = reaction.order;
    }
    t.match(fail(order, 'unavailable', { others: ['two'] }).order, { issuer: 'two', orderUrl: null });
    const alone = fail(order, 'unavailable');
    t.match(alone, { failed: true, ended: false, next: `The order goes on at ${later(minute)}.` });
    t.match(alone.order, { orderUrl: begun.orderUrl, stumbles: 0, failures: 1 });
    const limited = fail(begun, 'limit', { options: { retryAfterMs: hour } });
    t.match(limited, { failed: true, ended: false, order: { orderUrl: begun.orderUrl, dueAt: later(hour) } });
  },
);

t.test('an order that only a DNS provider holds up is kept for as long as that takes', async (t) => {
  let order = begun;
  for (const seconds of [2, 4, 8, 16, 32, 60, 600, 6_000, 86_400]) {
    const reaction = fail(order, 'hindered', { others: ['two'] });
    t.match(reaction, { failed: true, ended: false });
    t.match(reaction.order, {
      orderUrl: begun.orderUrl,
      step: 'placed',
      dueAt: later(seconds * 1_000),
    });
    order = reaction.order;
  }
  const brief = fail(begun, 'hindered', { others: ['two'], options: { retryAfterMs: 5_000 } });
  t.match(brief, { failed: false, ended: false }, 'who asks for a moment has not failed the host');
  const asked = fail(begun, 'hindered', { others: ['two'], options: { retryAfterMs: hour } });
  t.match(asked, { failed: true, ended: false, order: { orderUrl: begun.orderUrl, dueAt: later(hour) } });
});

t.test('an order that the CA has lost is begun again, but not for ever', async (t) => {
  let order = begun;
  for (let time = 1; time <= 5; time += 1) {
    const reaction = fail(order, 'lost', { others: ['two'] });
    t.match(reaction, { failed: false, ended: true, next: 'The order is begun again.' });
    t.match(reaction.order, { step: 'idle', issuer: 'one', orderUrl: null, stumbles: time, dueAt: later(0) });
    order = { ...reaction.order, orderUrl: `https://ca.example.net/order/${time}`, step: 'ordered' };
  }
  t.match(fail(order, 'lost', { others: ['two'] }).order, { issuer: 'two' });
});

t.test('a name that cannot be proven is tried at no other issuer, and ever more rarely', async (t) => {
  const waits = [minute, 10 * minute, 100 * minute, day, day];
  for (const [unproven, waitMs] of waits.entries()) {
    // Failures of other kinds, such as a CA that was away, are not the name's.
    const { order, ended } = fail({ ...begun, failures: 9, unproven }, 'unproven', { others: ['two'] });
    t.match(order, { step: 'idle', issuer: null, failures: 10, unproven: unproven + 1, setbacks: {} });
    t.equal(order.dueAt, later(waitMs));
    t.ok(ended);
  }
  const told = (order: Partial<OrderRecord>, counted: boolean) =>
    fail({ ...begun, ...order }, 'unproven', { options: { counted } }).next;
  t.match(told({ challengeType: 'http-01' }, true), /: until then, see that the name leads to the edges\.$/);
  t.match(
    told({ challengeType: 'dns-01', host: '*.example.com' }, true),
    /see that _acme-challenge\.example\.com can be/,
  );
  t.equal(told({}, false), `It is tried again at ${later(minute)}.`);
});

t.test('a certificate that is about to expire is not left alone for a day', async (t) => {
  for (const kind of ['unproven', 'refused'] as const) {
    const order = { ...idle, failures: 9, unproven: 9, setbacks: { one: { failures: 9, until: later(0) } } };
    t.equal(fail(order, kind, { expiresAt: now + 8 * hour }).order.dueAt, later(hour), kind);
    t.equal(fail(order, kind, { expiresAt: now + minute }).order.dueAt, later(minute), kind);
    t.equal(fail(order, kind, { expiresAt: now - minute }).order.dueAt, later(day), kind);
  }
});
