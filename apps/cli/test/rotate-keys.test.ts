import { createServer } from 'node:http';
import type { FleetKeysStatus } from '@lockstep/contract';
import { type Test, test } from 'tap';
import { rotateKeys } from '../src/keys/rotate-keys.ts';

const before = keys('old', []);
const begun = keys('new', [{ id: 'old', left: null }]);
const done = keys('new', []);

test('a control plane that has not heard of the rotation yet is not taken for the end of it', async (t) => {
  const told = [before, keys('new', [{ id: 'old', left: 3 }]), before, done];
  const printed: string[] = [];
  await rotateKeys({
    apiUrl: await listen(t, begun, told),
    token: 'token',
    print: (line) => printed.push(line),
  });
  t.equal(told.length, 0);
  t.match(printed.at(-1), /everything is sealed with the key new,/);
});

function keys(current: string, older: FleetKeysStatus['secret']['older']): FleetKeysStatus {
  return { secret: { current, older }, edge: { current: `${current}-edge`, older: [] } };
}

/** Answers the rotation with one, and what asks for the fleet afterwards with the others in turn. */
async function listen(t: Test, rotation: FleetKeysStatus, told: FleetKeysStatus[]): Promise<string> {
  const server = createServer(({ method }, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(method === 'POST' ? rotation : { keys: told.shift() ?? done }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => new Promise((resolve) => server.close(resolve)));
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}
