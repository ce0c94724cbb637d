import t from 'tap';
import { createCaGate } from '../../src/issuance/ca-gate.ts';
import { type Issuer, IssuerFailure } from '../../src/issuers/issuer.ts';

t.test(
  'after its rest one order asks a CA whether it is back, and the others do not wait for that',
  async (t) => {
    let now = 0;
    const gate = createCaGate({ now: () => now });
    const issuer = {} as Issuer; // the gate asks nothing of it
    const down = async () => {
      throw new IssuerFailure('no answer', { kind: 'unavailable' });
    };
    await t.rejects(gate.run(issuer, 1, down), { message: 'no answer' });
    await t.rejects(
      gate.run(issuer, 1, async () => t.fail('asked while it rests')),
      { message: 'no answer' },
    );

    now += 60_000;
    const { promise: answer, resolve } = Promise.withResolvers<void>();
    const probe = gate.run(issuer, 1, () => answer);
    await t.rejects(
      gate.run(issuer, 1, async () => t.fail('asked beside the first')),
      { message: 'no answer' },
    );
    resolve();
    await probe;
    t.equal(await gate.run(issuer, 1, async () => 'back'), 'back');
  },
);
