import { once } from 'node:events';
import { createServer } from 'node:http';
import type { ConfigStore } from '@lockstep/store';
import type t from 'tap';

/** Answers HTTP-01 out of a store, as the edges would that the test speaks for. Gives back the port. */
export async function answerChallenges(
  test: Pick<typeof t, 'teardown'>,
  store: () => ConfigStore,
): Promise<number> {
  const server = createServer(async (request, response) => {
    const token = request.url?.split('/').at(-1) ?? '';
    const challenge = await store().get('challenge', token);
    response.statusCode = challenge === null ? 404 : 200;
    response.end(challenge?.value.keyAuthorization);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  test.teardown(() => server.close());
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
