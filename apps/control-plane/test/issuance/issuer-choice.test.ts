import { idleOrder, type OrderRecord } from '@lockstep/contract';
import t from 'tap';
import { chooseIssuer } from '../../src/issuance/issuer-choice.ts';
import type { Issuer } from '../../src/issuers/issuer.ts';

const now = Date.parse('2026-12-01T00:00:00.000Z');
const minute = 60_000;
const later = (ms: number) => new Date(now + ms).toISOString();
const idle = idleOrder('shop.example.com', later(0), later(0));
const chain = ['one', 'two'];

async function choose(order: Partial<OrderRecord>, allowed = chain) {
  // All that is asked of an issuer here is whether it refuses the host.
  const find = async (name: string) => ({ name, refuses: () => null }) as unknown as Issuer;
  const choice = await chooseIssuer({
    order: { ...idle, ...order },
    chain,
    allowed,
    challenge: null,
    find,
    now,
  });
  return choice.issuer === null ? { until: choice.until } : { name: choice.issuer.name };
}

t.test('an attempt goes on down the chain from where it is', async (t) => {
  t.same(await choose({}), { name: 'one' });
  t.same(await choose({ issuer: 'two' }), { name: 'two' });
});

t.test('at the end of the chain, whichever issuer is back first has its turn', async (t) => {
  const setbacks = {
    one: { failures: 1, until: later(minute) },
    two: { failures: 4, until: later(1_440 * minute) },
  };
  t.same(
    await choose({ issuer: 'two', setbacks }),
    { until: now + minute },
    'not that of the last one, in a day',
  );
  const { one } = setbacks;
  t.same(
    await choose({ issuer: 'two', setbacks: { one } }, ['one']),
    { until: now + minute },
    'CAA forbids the last',
  );
  t.same(await choose({ issuer: 'two' }, ['one']), { name: 'one' }, 'what failed it was forgotten meanwhile');
});
