import t from 'tap';
import { host, startHostileEdge } from './hostile-edge.ts';

const edge = await startHostileEdge(t);

await edge.attack(t, 'answers come in the order of the requests', async (t) => {
  const client = await edge.raw();
  client.send(`GET /1 HTTP/1.1\r\nHost: ${host}\r\n\r\nGET /2 HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  await client.until(/ok(.|\s)*ok$/);
  t.same(client.statuses, [200, 200]);
  t.same(
    edge.upstream.requests.map(({ target }) => target),
    ['/1', '/2'],
  );
});
