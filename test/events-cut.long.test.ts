import { randomInt } from 'node:crypto';
import type { Event } from '@lockstep/contract';
import { testFolder, waitFor } from '@lockstep/testkit';
import t from 'tap';
import { startFleet } from './fleet/start-fleet.ts';

const routes = 120;
const cuts = 50;
const cutsBetweenKills = 8;

t.test('a stream cut 50 times while control planes are killed: every event once, in order', async (t) => {
  const fleet = await startFleet(t, { dir: testFolder(t), controlPlanes: 3, edges: 1 });
  const { controlPlanes } = fleet;
  const any = () => controlPlanes[randomInt(controlPlanes.length)]!;
  const seen: Event[] = [];
  const done = new AbortController();
  let gaps = 0;
  let cut = 0;
  let kills = 0;

  /** Follows at one control plane until so many have come, or it is gone. */
  async function readSome(most: number): Promise<void> {
    const since = seen.at(-1)?.id ?? 'beginning';
    const leave = new AbortController();
    const response = await fetch(`${any().url}/v1/events`, {
      headers: { authorization: `Bearer ${fleet.env.LOCKSTEP_ADMIN_TOKEN}`, 'last-event-id': since },
      signal: AbortSignal.any([leave.signal, done.signal]),
    });
    const decoder = new TextDecoder();
    let text = '';
    let read = 0;
    for await (const part of response.body!) {
      text += decoder.decode(part, { stream: true });
      for (let end = text.indexOf('\n\n'); end !== -1 && read < most; end = text.indexOf('\n\n')) {
        const block = text.slice(0, end);
        text = text.slice(end + 2);
        if (block.includes('event: gap')) gaps += 1;
        const data = /^data: (\{"id".*)$/m.exec(block)?.[1];
        if (data === undefined) continue;
        seen.push(JSON.parse(data));
        read += 1;
      }
      if (read >= most) leave.abort();
    }
  }

  async function follow(): Promise<void> {
    while (!done.signal.aborted) {
      await readSome(1 + randomInt(12)).catch(() => {});
      cut += 1;
    }
  }

  async function write(): Promise<void> {
    const ask = (method: string, path: string, body?: object) =>
      waitFor(
        async () =>
          (await fleet.call(method, path, body, {}, any().url).catch(() => ({ status: 503 }))).status < 500,
        { what: `a control plane that takes ${method} ${path}` },
      );
    for (let index = 0; index < routes; index += 1) {
      const path = `/v1/routes/r${index}`;
      const body = { hosts: [`shop-${index}.example.com`], upstreams: [{ url: 'http://127.0.0.1:3000' }] };
      await ask('PUT', path, body);
      if (index % 3 === 0) await ask('PATCH', path, { paths: ['/shop'] });
      if (index % 4 === 0) await ask('DELETE', path);
    }
  }

  async function kill(): Promise<void> {
    while (!done.signal.aborted) {
      const before = cut;
      await waitFor(() => done.signal.aborted || cut >= before + cutsBetweenKills, {
        what: 'more cuts',
        progress: () => cut,
      });
      if (done.signal.aborted) return;
      const victim = any();
      await victim.process.signal('SIGKILL');
      kills += 1;
      await victim.start();
    }
  }

  async function listAll(): Promise<Event[]> {
    const all: Event[] = [];
    for (let since: string | null = 'beginning'; since !== null; ) {
      const path = `/v1/events?limit=1000&since=${since}`;
      const { body } = await fleet.call('GET', path, undefined, {}, any().url);
      all.push(...body.items);
      since = body.next;
    }
    return all;
  }

  const running = Promise.all([follow(), kill()]);
  await write();
  const left = Array.from({ length: routes }, (_, index) => index).filter((index) => index % 4 !== 0);
  const liveOf = () =>
    new Set(seen.filter(({ type }) => type === 'route.live').map(({ subject }) => subject.id));
  await waitFor(() => left.every((index) => liveOf().has(`r${index}`)) && cut >= cuts, {
    what: 'each route to be told live',
    progress: () => seen.length,
  });
  done.abort();
  await running;
  const all = await listAll();
  t.same(
    seen.map(({ id }) => id),
    all.slice(0, seen.length).map(({ id }) => id),
    'what was read is the history',
  );
  const ids = all.map(({ id }) => id);
  t.same(ids, [...new Set(ids)].sort(), 'each has a place of its own, in the order of the ids');
  t.equal(gaps, 0);
  for (const [index, types] of typesByRoute(all)) {
    const count = (type: string) => types.filter((one) => one === type).length;
    t.equal(count('route.created'), 1, `r${index}`);
    t.equal(count('route.deleted'), Number(index) % 4 === 0 ? 1 : 0, `r${index}`);
    t.equal(count('route.updated'), Number(index) % 3 === 0 ? 1 : 0, `r${index}`);
    t.ok(count('route.live') <= 1 + count('route.updated'), `r${index}`);
    t.equal(types[0], 'route.created', `r${index}`);
    if (Number(index) % 4 === 0) t.equal(types.at(-1), 'route.deleted', `r${index}`);
  }
  t.comment(`${all.length} events, ${cut} cuts, ${kills} kills`);
});

function typesByRoute(events: Event[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const { type, subject } of events) {
    if (subject.kind !== 'route') continue;
    const index = subject.id.slice(1);
    found.set(index, [...(found.get(index) ?? []), type]);
  }
  return found;
}
