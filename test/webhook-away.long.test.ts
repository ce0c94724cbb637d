import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { Event } from '@lockstep/contract';
import { freePort, testFolder, waitFor } from '@lockstep/testkit';
import { Webhook } from 'standardwebhooks';
import t from 'tap';
import { startFleet } from './fleet/start-fleet.ts';

const routes = 60;
const changes = 4;

/** A target on a port of its own, which goes away and comes back. */
async function createTarget(port: number) {
  const received: { headers: IncomingHttpHeaders; body: string }[] = [];
  let server = createServer();
  async function open(): Promise<void> {
    server = createServer(async (request, response) => {
      let body = '';
      for await (const part of request) body += part;
      received.push({ headers: request.headers, body });
      response.writeHead(204).end();
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  }
  return {
    received,
    url: `http://127.0.0.1:${port}/hook`,
    open,
    close: () => server.close().closeAllConnections(),
  };
}

t.test(
  'a target that was away while control planes were killed gets everything, signed, each route in order',
  async (t) => {
    const fleet = await startFleet(t, { dir: testFolder(t), controlPlanes: 2, edges: 1 });
    const { controlPlanes } = fleet;
    const any = () => controlPlanes[randomInt(controlPlanes.length)]!;
    const target = await createTarget(await freePort());
    t.teardown(() => target.close());

    /** PUTs and PATCHes, which may be repeated at whichever control plane is up. */
    const ask = (method: string, path: string, body?: object) =>
      waitFor(
        async () => {
          const answer = await fleet.call(method, path, body, {}, any().url).catch(() => null);
          return answer !== null && answer.status < 500 ? answer : null;
        },
        { what: `a control plane that takes ${method} ${path}` },
      );
    const route = (index: number, path: string) => ({
      hosts: [`shop-${index}.example.com`],
      upstreams: [{ url: 'http://127.0.0.1:3000' }],
      paths: [path],
    });
    async function killOne(): Promise<void> {
      const victim = any();
      await victim.process.signal('SIGKILL');
      await victim.start();
    }

    await ask('PATCH', '/v1/settings', { webhookTargets: 'any' });
    const body = { url: target.url, types: ['route.*', 'certificate.*'] };
    const webhook = (await fleet.call('POST', '/v1/webhooks', body)).body;
    const path = `/v1/webhooks/${webhook.id}`;
    const status = async () => (await ask('GET', path)).body.status;

    for (let change = 0; change < changes; change += 1) {
      for (let index = 0; index < routes; index += 1)
        await ask('PUT', `/v1/routes/r${index}`, route(index, `/${change}`));
      await killOne();
    }
    await waitFor(async () => (await status()).waitingSubjects > 0, { what: 'it to be tried in vain' });
    t.match((await ask('GET', `${path}/deliveries?outcome=unanswered&limit=1`)).body.items, [
      { ok: false, status: null, detail: /ECONNREFUSED/ },
    ]);
    t.equal(target.received.length, 0);

    await target.open();
    t.match((await ask('POST', `${path}/test`)).body, { ok: true });
    await waitFor(() => target.received.length > 20, {
      what: 'some to come',
      progress: () => target.received.length,
    });
    const sender = controlPlanes.map(({ process }) => process.signal('SIGKILL'));
    await Promise.all(sender);
    await Promise.all(controlPlanes.map((one) => one.start()));

    async function told(): Promise<Event[]> {
      const all: Event[] = [];
      for (let since: string | null = 'beginning'; since !== null; ) {
        const page = await ask('GET', `/v1/events?limit=1000&type=route.*,certificate.*&since=${since}`);
        all.push(...page.body.items);
        since = page.body.next;
      }
      return all;
    }
    const seen = () => new Set(target.received.map(({ headers }) => headers['webhook-id']));
    await waitFor(async () => (await told()).every(({ id }) => seen().has(id)), {
      what: 'everything to come',
      progress: () => target.received.length,
    });

    const signed = new Webhook(webhook.secret);
    const firsts: Event[] = [];
    const known = new Set<string>();
    for (const { headers, body } of target.received) {
      const event = signed.verify(body, headers as Record<string, string>) as Event;
      t.equal(event.id, headers['webhook-id']);
      if (known.has(event.id) || (event.type as string) === 'webhook.test') continue;
      known.add(event.id);
      firsts.push(event);
    }
    const orderOf = (events: Event[], index: number) =>
      events.filter(({ data }) => (data.routes as string[])?.join() === `r${index}`).map(({ id }) => id);
    const all = await told();
    for (let index = 0; index < routes; index += 1) {
      const order = orderOf(firsts, index);
      t.same(order, order.toSorted(), `r${index}`);
      t.same(order, orderOf(all, index), `r${index}`);
      t.ok(order.length >= changes);
    }
    await waitFor(async () => (await status()).waitingSubjects === 0, { what: 'nothing to wait' });
    t.comment(`${all.length} events, ${target.received.length} messages`);
  },
);
