import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { testFolder, waitFor } from '@lockstep/testkit';
import { decode, encode } from 'dns-packet';
import t from 'tap';
import { proofOf, startTenants, upstreams } from './start-tenants.ts';

/** A resolver that never answers for names below silent.test, until it is told to end that. */
async function startResolver(test: Pick<typeof t, 'teardown'>) {
  const texts = new Map<string, string>();
  const asked = new Set<string>();
  let silent = true;
  const socket = createSocket('udp4');
  const held: (() => void)[] = [];
  socket.on('message', (message, { port, address }) => {
    const { id = 0, questions = [] } = decode(message);
    const name = questions[0]?.name.toLowerCase() ?? '';
    const answer = (code: number) => {
      const text = texts.get(name);
      const answers = text === undefined ? [] : [{ type: 'TXT' as const, name, ttl: 1, data: text }];
      socket.send(encode({ id, type: 'response', flags: code, questions, answers }), port, address);
    };
    if (!name.endsWith('.silent.test')) return answer(0);
    asked.add(name);
    if (silent) held.push(() => answer(2));
    else answer(2);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const speak = () => {
    silent = false;
    for (const one of held.splice(0)) one();
  };
  test.teardown(() => socket.close());
  return { address: `127.0.0.1:${socket.address().port}`, texts, asked, speak };
}

t.test('very many names whose DNS is silent hold up nobody else’s', async (t) => {
  const resolver = await startResolver(t);
  const { tenant, store } = await startTenants(t, testFolder(t), {
    settings: { resolvers: [resolver.address] },
  });
  const [alpha, beta] = [await tenant('alpha'), await tenant('beta')];
  const hostsOf = (route: number) => Array.from({ length: 100 }, (_, at) => `h${at}.r${route}.silent.test`);
  for (let route = 0; route < 30; route += 1) {
    const body = { id: `r${route}`, hosts: hostsOf(route), upstreams };
    t.match(await alpha.call('POST', '/v1/routes', body), { status: 201 });
  }
  await waitFor(() => resolver.asked.size > 0, { what: 'a look at a silent name' });

  const check = alpha.call('POST', '/v1/routes/r7/check');
  await waitFor(() => resolver.asked.has('_lockstep.h50.r7.silent.test'), { what: 'the looks of a caller' });
  const more = await alpha.call('POST', '/v1/routes/r8/check');
  t.match(more, { status: 429, body: { code: 'rate_limited' } }, 'no more of its names at once');
  t.equal(more.headers.get('retry-after'), '1');

  const asked = await beta.call('GET', '/v1/dns-requirements?host=good.test');
  t.match(asked, { status: 200 }, 'another is answered');
  const { name, value } = proofOf(asked);
  resolver.texts.set(name, value);
  t.match(await beta.post({ id: 'good', hosts: ['good.test'] }), { status: 201 }, 'and looked at at once');
  const last = await store.get('ownership', 'h99.r29.silent.test/alpha');
  t.equal(last?.value.checks, 0, 'before all of the others were');
  resolver.speak();
  t.match(await check, { status: 200 });
});
