import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Event, Route } from '@lockstep/contract';
import { type Child, freePortsInARow, startLockstep, testFolder, waitFor } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import { type ControlPlaneUnderTest, startFleet } from './fleet/start-fleet.ts';

const many = 200;
/** Answers of a kind between two kills: all of them come in the midst of it. */
const answersBetweenKills = 50;
const mostKills = 4;
const upstreams = [{ url: 'http://127.0.0.1:3000' }];

interface Answer {
  status: number;
  replayed: boolean;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: of whatever was asked for
  body: any;
}

interface Planes {
  urls: readonly string[];
  token: string;
  /** SIGKILL; what it gives back resolves when it was started and is ready again. */
  kill(index: number): Promise<{ back: Promise<void> }>;
}

function createClient({ urls, token }: Pick<Planes, 'urls' | 'token'>) {
  let answers = 0;
  let repeats = 0;

  async function ask(at: string, method: string, path: string, body: unknown, headers: object) {
    const typed = body === undefined ? {} : { 'content-type': 'application/json' };
    const response = await fetch(at + path, {
      method,
      headers: { authorization: `Bearer ${token}`, ...typed, ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const replayed = response.headers.get('idempotency-replayed') === 'true';
    const json = response.headers.get('content-type')?.includes('json') && text.startsWith('{');
    return { status: response.status, replayed, text, body: json ? JSON.parse(text) : null };
  }

  return {
    answered: () => answers,
    repeated: () => repeats,
    /** Until somebody answers, at the next control plane each time, as a client that retries would. */
    async until(at: number, method: string, path: string, body?: unknown, headers = {}): Promise<Answer> {
      let tries = 0;
      const answer = await waitFor(
        async () => {
          const url = urls[(at + tries) % urls.length]!;
          tries += 1;
          const got = await ask(url, method, path, body, headers);
          return got.status < 500 && got.status !== 429 ? got : null;
        },
        { what: `a control plane that takes ${method} ${path}`, progress: () => answers, intervalMs: 250 },
      );
      answers += 1;
      repeats += tries - 1;
      return answer;
    },
    async lines(at: number, path: string, lines: readonly object[], onLine: () => void) {
      const got: { id: string; status: number }[] = [];
      try {
        const response = await fetch(urls[at % urls.length]! + path, {
          method: 'POST',
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' },
          body: lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
        });
        let text = '';
        for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
          const whole = (text + part).split('\n');
          text = whole.pop()!;
          for (const line of whole) {
            got.push(JSON.parse(line));
            onLine();
          }
        }
      } catch {
        // It was killed: what it answered stands.
      }
      return got.filter(({ status }) => status < 500);
    },
  };
}

type Client = ReturnType<typeof createClient>;

async function allEvents(client: Client): Promise<Event[]> {
  const all: Event[] = [];
  for (let since: string | null = 'beginning'; since !== null; ) {
    const { body } = await client.until(0, 'GET', `/v1/events?limit=1000&since=${since}`);
    all.push(...body.items);
    since = body.next;
  }
  return all;
}

async function allRoutes(client: Client): Promise<Route[]> {
  const all: Route[] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const { body } = await client.until(0, 'GET', `/v1/routes?limit=1000&cursor=${cursor}`);
    all.push(...body.items);
    cursor = body.next;
  }
  return all;
}

const countsOf = (events: Event[], type: string) => {
  const counts = new Map<string, number>();
  for (const event of events)
    if (event.type === type) counts.set(event.subject.id, (counts.get(event.subject.id) ?? 0) + 1);
  return counts;
};

/** Kills one after the other while `work` goes on, whether the others are back or not, each time that so much more has come. */
async function killing<T>(planes: Planes, progress: () => number, step: number, work: Promise<T>) {
  let over = false;
  const ended = work.finally(() => {
    over = true;
  });
  const back = planes.urls.map(() => Promise.resolve());
  let kills = 0;
  for (let before = progress(); ; before = progress()) {
    await waitFor(() => over || progress() >= before + step, { what: 'more answers', progress });
    if (over || kills === mostKills) break;
    const index = kills % planes.urls.length;
    await Promise.race([back[index], ended]);
    if (over) break;
    kills += 1;
    back[index] = (await planes.kill(index)).back;
  }
  await Promise.all(back);
  return { result: await ended, kills };
}

async function makesEachOnce(t: Test, planes: Planes) {
  const client = createClient(planes);
  const body = (host: string) => ({ hosts: [host], upstreams });
  const headers = (key: string) => ({ 'idempotency-key': key });
  const work = Promise.all([
    Promise.all(
      Array.from({ length: many }, (_, index) =>
        client.until(index, 'POST', '/v1/routes', body(`s${index}.example.com`), headers(`s-${index}`)),
      ),
    ),
    Promise.all(
      Array.from({ length: many }, (_, index) =>
        client.until(index, 'POST', '/v1/routes', body('one.example.com'), headers(`one-${index}`)),
      ),
    ),
  ]);
  const { result, kills } = await killing(planes, client.answered, answersBetweenKills, work);
  const [distinct, one] = result;
  t.ok(kills > 0, `${kills} kills, ${client.repeated()} repeats`);

  t.same(new Set(distinct.map(({ status }) => status)), new Set([201]));
  const winners = one.flatMap(({ status }, index) => (status === 201 ? [index] : []));
  t.equal(winners.length, 1, 'one has the host');
  t.ok(one.every(({ status }) => status === 201 || status === 409));

  // Whoever asks again, under any of the keys and at any control plane, gets the same.
  for (const at of planes.urls.keys()) {
    const again = await Promise.all(
      Array.from({ length: many }, (_, index) =>
        client.until(at, 'POST', '/v1/routes', body(`s${index}.example.com`), headers(`s-${index}`)),
      ),
    );
    t.same(
      again.map(({ status, body, replayed }) => [status, body.id, replayed]),
      distinct.map(({ body }) => [201, body.id, true]),
    );
    for (const [index, { status, body: first }] of one.slice(0, 20).entries()) {
      const { status: now } = await client.until(
        at,
        'POST',
        '/v1/routes',
        body('one.example.com'),
        headers(`one-${index}`),
      );
      t.equal(now, status, first.id);
    }
    const [winner = 0] = winners;
    const won = await client.until(
      at,
      'POST',
      '/v1/routes',
      body('one.example.com'),
      headers(`one-${winner}`),
    );
    t.same([won.status, won.body.id, won.replayed], [201, one[winner]!.body.id, true]);
  }

  const ids = [...distinct, one[winners[0] ?? 0]!].map(({ body }) => body.id).sort();
  const routes = await allRoutes(client);
  t.same(routes.map(({ id }) => id).sort(), ids, 'one route each');
  await waitFor(async () => (await allRoutes(client)).every(({ status }) => status.state === 'live'), {
    what: 'all to be live',
    intervalMs: 500,
  });
  const events = await allEvents(client);
  t.same(
    [...countsOf(events, 'route.created')].sort(),
    ids.map((id) => [id, 1]),
    'one event each',
  );
  const hosts = routes.flatMap(({ hosts }) => hosts).sort();
  t.same(
    [...countsOf(events, 'certificate.issued')].sort(),
    hosts.map((host) => [host, 1]),
  );
  t.equal(countsOf(events, 'certificate.renewed').size, 0);
  return { client, ids };
}

async function changesEachOnce(t: Test, planes: Planes, client: Client, ids: string[]) {
  const before = await allEvents(client);
  const patched = ids.slice(0, 100);
  const deleted = ids.slice(100, 200);
  const work = Promise.all([
    ...patched.map((id, index) =>
      client.until(index, 'PATCH', `/v1/routes/${id}`, { metadata: { changed: 'once' } }),
    ),
    ...deleted.map((id, index) => client.until(index, 'DELETE', `/v1/routes/${id}?missing=ok`)),
  ]);
  const { result, kills } = await killing(planes, client.answered, answersBetweenKills, work);
  t.ok(kills > 0, `${kills} kills`);
  t.ok(result.every(({ status }) => status === 200 || status === 202 || status === 204));
  const events = (await allEvents(client)).slice(before.length);
  t.same(
    [...countsOf(events, 'route.updated')].sort(),
    [...patched].sort().map((id) => [id, 1]),
  );
  t.same(
    [...countsOf(events, 'route.deleted')].sort(),
    [...deleted].sort().map((id) => [id, 1]),
  );
}

/** Lines that were not answered are sent again, wherever the request before was cut. */
async function makesLinesOnce(t: Test, planes: Planes, client: Client) {
  const before = await allEvents(client);
  const lines = Array.from({ length: 2_000 }, (_, index) => ({
    id: `line-${index}`,
    hosts: [`line-${index}.example.com`],
    upstreams,
  }));
  let answered = 0;
  let requests = 0;
  const onLine = () => {
    answered += 1;
  };
  async function send(path: string, body: (line: (typeof lines)[number]) => object): Promise<void> {
    let left = lines;
    while (left.length > 0) {
      const got = await client.lines(requests, path, left.map(body), onLine);
      requests += 1;
      const done = new Set(got.map(({ id }) => id));
      t.ok(got.every(({ status }) => status < 300));
      left = left.filter(({ id }) => !done.has(id));
      if (got.length === 0)
        await waitFor(async () => (await client.until(requests, 'GET', '/v1/fleet')).status === 200, {
          what: 'a control plane',
        });
    }
  }
  const made = await killing(
    planes,
    () => answered,
    600,
    send('/v1/routes/bulk', (line) => line),
  );
  const gone = await killing(
    planes,
    () => answered,
    600,
    send('/v1/routes/bulk-delete?missing=ok', ({ id }) => ({ id })),
  );
  t.ok(made.kills > 0 && gone.kills > 0, `${made.kills} and ${gone.kills} kills, ${requests} requests`);
  const events = (await allEvents(client)).slice(before.length);
  for (const type of ['route.created', 'route.deleted'])
    t.same(
      new Set([...countsOf(events, type)].map(([id, count]) => `${id} ${count}`)),
      new Set(lines.map(({ id }) => `${id} 1`)),
      type,
    );
  t.equal(countsOf(events, 'route.updated').size, 0);
}

t.test(
  'over Redis, two control planes killed in turn: what is asked for under a key is made once',
  async (t) => {
    const fleet = await startFleet(t, { dir: testFolder(t), controlPlanes: 2, edges: 1 });
    const { controlPlanes } = fleet;
    const planes: Planes = {
      urls: controlPlanes.map(({ url }) => url),
      token: fleet.env.LOCKSTEP_ADMIN_TOKEN,
      async kill(index) {
        await controlPlanes[index]!.process.signal('SIGKILL');
        return { back: controlPlanes[index]!.start() };
      },
    };
    const { client, ids } = await makesEachOnce(t, planes);
    await oneWinsEach(t, planes, client, ids[0]!);
    await changesEachOnce(t, planes, client, ids);
    await makesLinesOnce(t, planes, client);
  },
);

/** One wins each round, and all others are told so, whichever control plane each asks, and whether it has an answer or asks again. */
async function oneWinsEach(t: Test, planes: Planes, client: Client, id: string) {
  const rounds = 12;
  const before = await allEvents(client);
  const path = `/v1/routes/${id}`;
  async function race(): Promise<void> {
    for (let round = 0; round < rounds; round += 1) {
      const { body } = await client.until(round, 'GET', path);
      const answers = await Promise.all(
        Array.from({ length: 20 }, async (_, index) => {
          const metadata = { writer: `${round} ${index}` };
          const ifMatch = { 'if-match': `"${body.revision}"` };
          return client.until(index, 'PATCH', path, { metadata }, ifMatch);
        }),
      );
      const { writer } = (await client.until(0, 'GET', path)).body.metadata;
      const won = answers.flatMap(({ status }, index) => (status < 300 ? [`${round} ${index}`] : []));
      t.ok(answers.every(({ status }) => status < 300 || status === 412));
      // Whoever was cut off after its commit is told 412 by its own revision, and finds its change there.
      t.ok(won.length === 0 || won.join() === writer, `${won} of ${writer}`);
      t.match(writer, new RegExp(`^${round} `));
    }
  }
  const { kills } = await killing(planes, client.answered, 40, race());
  t.ok(kills > 0, `${kills} kills`);
  const events = (await allEvents(client)).slice(before.length);
  t.equal(countsOf(events, 'route.updated').get(id), rounds);
}

t.test(
  'whoever waits behind a control plane that is killed, or whose store is, goes on in its place',
  async (t) => {
    const fleet = await startFleet(t, { dir: testFolder(t), controlPlanes: 2, edges: 1 });
    const [first, second] = fleet.controlPlanes as [ControlPlaneUnderTest, ControlPlaneUnderTest];
    const planes = { urls: [second.url], token: fleet.env.LOCKSTEP_ADMIN_TOKEN };
    const client = createClient(planes);
    const body = (host: string) => ({ hosts: [host], upstreams });
    const ask = (at: string, key: string) =>
      fleet.call(
        'POST',
        '/v1/routes',
        body(`${key}.example.com`),
        { 'idempotency-key': key, prefer: 'wait=8' },
        at,
      );
    const madeOnce = async (key: string) => {
      const events = await allEvents(client);
      const told = events.filter(
        ({ type, data }) => type === 'route.created' && JSON.stringify(data).includes(`"${key}.`),
      );
      t.equal(told.length, 1, `${key} is made once`);
      return told[0]!.subject.id;
    };
    const waiting = (key: string) =>
      waitFor(
        async () =>
          (await client.until(0, 'GET', `/v1/routes?host=${key}.example.com`)).body.items.length > 0,
        {
          what: `${key} to be made`,
        },
      );

    // No edge takes anything: it is made, and its answer waits.
    process.kill(fleet.edges[0]!.process.pid, 'SIGSTOP');
    const lost = ask(first.url, 'a').catch(() => null);
    await waiting('a');
    const repeats = [ask(second.url, 'a'), ask(second.url, 'a')];
    const other = client.until(0, 'POST', '/v1/routes', body('else.example.com'), { 'idempotency-key': 'a' });
    t.equal((await other).status, 422, 'another request is told at once');
    await first.process.signal('SIGKILL');
    t.equal(await lost, null);
    for (const { status, body } of await Promise.all(repeats))
      t.same([status, body.id], [202, await madeOnce('a')]);

    await first.start();
    const before = ask(first.url, 'b').catch(() => null);
    await waiting('b');
    const behind = ask(second.url, 'b').catch(() => null);
    await fleet.redis.kill();
    await fleet.redis.start();
    process.kill(fleet.edges[0]!.process.pid, 'SIGCONT');
    for (const answer of await Promise.all([before, behind]))
      t.ok(answer === null || answer.status >= 500 || answer.status < 300, `${answer?.status}`);
    for (const { url } of [first, second]) {
      const again = await waitFor(
        async () => {
          const got = await ask(url, 'b');
          return got.status < 300 && got;
        },
        { what: 'an answer' },
      );
      t.equal(again.body.id, await madeOnce('b'));
    }
  },
);

t.test('over SQLite, killed and started again: what is asked for under a key is made once', async (t) => {
  const folder = testFolder(t);
  const first = await freePortsInARow(7);
  const ports = { '--port': 0, '--https-port': 1, '--http-port': 3, '--admin-port': 5 };
  const args = Object.entries(ports).flatMap(([flag, offset]) => [flag, String(first + offset)]);
  let up: Child;
  async function start(): Promise<void> {
    up = startLockstep(['up', '--edges', '1', '--data-dir', join(folder, 'data'), ...args], { cwd: folder });
    await up.seen(/Ctrl-C stops everything/);
  }
  t.teardown(() => up.signal('SIGTERM'));
  await start();
  const planes: Planes = {
    urls: [`http://127.0.0.1:${first}`],
    token: readFileSync(join(folder, 'data', 'admin-token'), 'utf8').trim(),
    async kill() {
      await up.signal('SIGKILL');
      // Its edges give their ports up by themselves.
      return {
        back: waitFor(() => start().then(() => true), { what: 'its start', intervalMs: 200 }).then(() => {}),
      };
    },
  };
  const { client, ids } = await makesEachOnce(t, planes);
  await oneWinsEach(t, planes, client, ids[0]!);
  await changesEachOnce(t, planes, client, ids);
  await makesLinesOnce(t, planes, client);
});
