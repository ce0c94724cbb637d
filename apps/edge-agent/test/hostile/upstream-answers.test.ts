import t from 'tap';
import { exchangeH2 } from './h2-exchange.ts';
import { type HostileEdge, host, startHostileEdge } from './hostile-edge.ts';

/** What an upstream says, and what a client gets. */
interface Case {
  title: string;
  answer: string;
  /** The connection to the upstream ends with it. */
  ends?: boolean;
  method?: string;
  status: number;
  /** Over HTTP/2, where it is another. */
  h2Status?: number;
  body?: string;
  /** Statuses of interim answers. */
  interim?: number[];
  /** Field values; null: not there. In lower case. */
  fields?: Record<string, string | null>;
  /** Why the edge answered itself. */
  cause?: string;
}

const plain = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const long = 'x'.repeat(70_000);

const cases: Case[] = [
  {
    title: 'a reason phrase that is not UTF-8 keeps no client waiting',
    answer: 'HTTP/1.1 404 Non trouv\xe9\r\nContent-Length: 2\r\n\r\nno',
    status: 404,
    body: 'no',
  },
  {
    title: 'a reason phrase of control characters keeps no client waiting',
    answer: 'HTTP/1.1 404 a\x01b\r\nContent-Length: 2\r\n\r\nno',
    status: 404,
    body: 'no',
  },
  {
    title: 'field values in Latin-1 pass as they are',
    answer: 'HTTP/1.1 200 OK\r\nX-Name: caf\xe9\r\nContent-Length: 2\r\n\r\nok',
    status: 200,
    fields: { 'x-name': 'caf\xe9' },
  },
  {
    title: 'a 100 Continue that nobody waited for comes before the answer',
    answer: `HTTP/1.1 100 Continue\r\n\r\n${plain}`,
    status: 200,
    body: 'ok',
    interim: [100],
  },
  {
    title: 'interim answers pass in their order, with their fields',
    answer: `HTTP/1.1 100 Go on\r\nX-A: 1\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLink: </b.js>; rel=preload\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n${plain}`,
    status: 200,
    body: 'ok',
    interim: [100, 102, 103],
  },
  {
    title: 'an interim answer that says close is not the last one',
    answer: `HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\nHTTP/1.0 100 Continue\r\n\r\n${plain}`,
    status: 200,
    body: 'ok',
    interim: [103, 100],
  },
  ...['HTTP/2.0', 'HTTP/0.9', 'RTSP/2.0', 'RTSP/1.0', 'RTSP/1.1', 'ICE/1.0', '\r\nICE/1.0', 'ICY'].map(
    (version) => ({
      title: `${version} is no answer`,
      answer: `${version} 200 OK\r\nContent-Length: 2\r\n\r\nok`,
      status: 502,
      cause: 'upstream_head_invalid',
    }),
  ),
  {
    title: 'another protocol behind an interim answer is none',
    answer: 'HTTP/1.1 103 Early Hints\r\n\r\nICE/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok',
    status: 502,
    interim: [103],
    cause: 'upstream_head_invalid',
  },
  {
    title: 'what comes behind an answer that was refused, in the same bytes, is no second one',
    answer: `HTTP/1.1 099 No\r\n\r\n${plain}`,
    status: 502,
    cause: 'upstream_head_invalid',
  },
  {
    title: 'interim answers without end are no answer',
    answer: `${'HTTP/1.1 102 Processing\r\n\r\n'.repeat(40)}${plain}`,
    status: 502,
    interim: Array(32).fill(102),
    cause: 'upstream_head_invalid',
  },
  {
    title: 'a status that HTTP/2 cannot tell is a clean 502 there',
    answer:
      'HTTP/1.1 999 No\r\nContent-Encoding: gzip\r\nSet-Cookie: a=1\r\nX-Powered-By: x\r\nContent-Length: 2\r\n\r\nno',
    status: 999,
    h2Status: 502,
    cause: 'upstream_head_invalid',
  },
  {
    title: 'a status below 100 is a 502',
    answer: 'HTTP/1.1 099 Low\r\nContent-Length: 2\r\n\r\nno',
    status: 502,
    cause: 'upstream_head_invalid',
  },
  {
    title: 'a 204 tells no length',
    answer: 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\nX-A: 1\r\n\r\n',
    status: 204,
    body: '',
    fields: { 'content-length': null, 'x-a': '1' },
  },
  {
    title: 'a 204 with a body passes without it',
    answer: 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello',
    status: 204,
    body: '',
    fields: { 'content-length': null },
  },
  {
    title: 'a 205 has no content',
    answer: 'HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\nhello',
    status: 205,
    body: '',
  },
  {
    title: 'a 205 in chunks neither',
    answer: 'HTTP/1.1 205 Reset Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
    status: 205,
    body: '',
  },
  {
    title: 'a 205 that does not end neither',
    answer: 'HTTP/1.1 205 Reset Content\r\n\r\nhello',
    status: 205,
    body: '',
  },
  {
    title: 'a 304 keeps the length of what it stands for',
    answer: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: "a"\r\n\r\n',
    status: 304,
    body: '',
    fields: { etag: '"a"' },
  },
  {
    title: 'an answer to HEAD keeps its length and has no body',
    answer: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
    method: 'HEAD',
    status: 200,
    body: '',
    fields: { 'content-length': '5' },
  },
  {
    title: 'an answer to HEAD with a body passes without it',
    answer: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
    method: 'HEAD',
    status: 200,
    body: '',
  },
  {
    title: 'fields of the connection stay on their side',
    answer:
      'HTTP/1.1 200 OK\r\nConnection: keep-alive, x-hop\r\nConnection: x-other\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nX-Hop: 1\r\nX-Other: 1\r\nUpgrade: h2c\r\nTE: trailers\r\nTrailer: x\r\nHTTP2-Settings: AA\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nok',
    status: 200,
    fields: {
      'x-hop': null,
      'x-other': null,
      'proxy-connection': null,
      upgrade: null,
      te: null,
      'x-kept': '1',
    },
  },
  {
    title: 'a Connection field that names the length or the type takes neither away',
    answer:
      'HTTP/1.1 200 OK\r\nConnection: content-length, content-type\r\nContent-Type: text/a\r\nContent-Length: 2\r\n\r\nok',
    status: 200,
    body: 'ok',
    fields: { 'content-length': '2', 'content-type': 'text/a' },
  },
  {
    title: 'space behind a value, or behind a length, is none of it',
    answer: 'HTTP/1.1 200 OK\r\nX-A: v \t\r\nX-B: \t \r\nContent-Length: 2 \r\n\r\nok',
    status: 200,
    body: 'ok',
    fields: { 'x-a': 'v', 'x-b': '', 'content-length': '2' },
  },
  {
    title: 'nor is space behind a transfer coding',
    answer: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked \r\n\r\n2\r\nok\r\n0\r\n\r\n',
    status: 200,
    body: 'ok',
  },
  {
    title: 'a reason phrase counts as part of the head',
    answer: `HTTP/1.1 200 ${long}`,
    status: 502,
    cause: 'upstream_head_too_large',
  },
  {
    title: 'cookies pass one by one',
    answer: 'HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok',
    status: 200,
    fields: { 'set-cookie': 'a=1|b=2' },
  },
  {
    title: 'a transfer coding beside chunked is not passed on without a word of it',
    answer:
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\nSet-Cookie: a=1\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    status: 502,
    fields: { 'set-cookie': null },
    cause: 'upstream_coding_unsupported',
  },
  {
    title: 'nor is one in a field of its own',
    answer:
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    status: 502,
    cause: 'upstream_coding_unsupported',
  },
  {
    title: 'nor one without chunked',
    answer: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok',
    ends: true,
    status: 502,
    cause: 'upstream_coding_unsupported',
  },
  {
    title: 'a length beside a transfer coding is no answer',
    answer: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    status: 502,
    cause: 'upstream_head_invalid',
  },
  {
    title: 'two lengths are no answer',
    answer: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok',
    status: 502,
    cause: 'upstream_head_invalid',
  },
  {
    title: 'lines without CR are no answer, and the log says so',
    answer: 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok',
    status: 502,
    cause: 'upstream_head_invalid',
  },
  {
    title: 'a head over the limit is no answer, and is told from other faults',
    answer: `HTTP/1.1 200 OK\r\nX-Long: ${long}\r\nContent-Length: 2\r\n\r\nok`,
    status: 502,
    cause: 'upstream_head_too_large',
  },
  {
    title: 'twenty kilobytes of cookies pass',
    answer: `HTTP/1.1 200 OK\r\n${`Set-Cookie: a=${'b'.repeat(1_000)}\r\n`.repeat(20)}Content-Length: 2\r\n\r\nok`,
    status: 200,
    body: 'ok',
  },
  {
    title: 'something that is no HTTP is no answer',
    answer: 'SSH-2.0-OpenSSH_9.2\r\n',
    status: 502,
    cause: 'upstream_head_invalid',
  },
  {
    title: 'no answer at all is a 502',
    answer: '',
    ends: true,
    status: 502,
    cause: 'upstream_closed',
  },
  {
    title: 'half a head is no answer',
    answer: 'HTTP/1.1 200 OK\r\nX-A: 1\r\n',
    ends: true,
    status: 502,
    cause: 'upstream_closed',
  },
  {
    title: 'a protocol that nobody asked for is not switched to',
    answer: 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello',
    status: 502,
    cause: 'upstream_upgrade_unasked',
  },
  {
    title: 'nor is one that is not named',
    answer: `HTTP/1.1 101 Switching Protocols\r\n\r\n${plain}`,
    status: 502,
    cause: 'upstream_upgrade_unasked',
  },
  {
    title: 'a body up to the end of the connection is complete with it',
    answer: 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello',
    ends: true,
    status: 200,
    body: 'hello',
  },
  {
    title: 'an answer of HTTP/1.0 passes',
    answer: 'HTTP/1.0 200 OK\r\n\r\nhello',
    ends: true,
    status: 200,
    body: 'hello',
  },
  {
    title: 'bytes behind an answer belong to nobody',
    answer: `${plain}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`,
    status: 200,
    body: 'ok',
  },
];

const edge = await startHostileEdge(t);
const overTls = await startHostileEdge(t, {}, true);
const decode = (body: string) => (/^[0-9a-f]+\r\n/.test(body) ? unchunk(body) : body);

function unchunk(text: string): string {
  let out = '';
  let rest = text;
  for (;;) {
    const size = /^([0-9a-f]+)\r\n/.exec(rest);
    if (size === null) throw new Error(`no chunk: ${JSON.stringify(rest)}`);
    const length = Number.parseInt(size[1]!, 16);
    if (length === 0) return out;
    out += rest.slice(size[0].length, size[0].length + length);
    rest = rest.slice(size[0].length + length + 2);
  }
}

const failuresAt = (edge: HostileEdge) => (cause: string | undefined) =>
  cause === undefined ? Promise.resolve(0) : edge.metric('failed_exchanges_total', `cause="${cause}"`);

async function hold(
  edge: HostileEdge,
  way: string,
  { title, answer, ends = false, method = 'GET', status, fields = {}, ...rest }: Case,
): Promise<void> {
  const failures = failuresAt(edge);
  await edge.attack(t, `${title} (${way})`, async (t) => {
    edge.upstream.on('/x', (_request, socket) => {
      if (ends) socket.end(answer, 'latin1');
      else socket.write(answer, 'latin1');
    });
    const before = await failures(rest.cause);
    const client = await edge.raw();
    client.send(`${method} /x HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    const text = await client.ended();
    t.same(client.statuses, [...(rest.interim ?? []), status], 'over HTTP/1.1');
    const final = text.slice(text.indexOf(`HTTP/1.1 ${status}`));
    const [head = '', body = ''] = [
      final.slice(0, final.indexOf('\r\n\r\n')),
      final.slice(final.indexOf('\r\n\r\n') + 4),
    ];
    if (rest.body !== undefined) t.equal(decode(body), rest.body);
    for (const [name, value] of Object.entries(fields)) {
      const all = [...head.matchAll(new RegExp(`^${name}: (.*)\r?$`, 'gim'))].map(([, one]) => one!.trim());
      t.equal(all.length === 0 ? null : all.join('|'), value, name);
    }
    const session = await edge.h2();
    const over = await exchangeH2(session, { ':path': '/x', ':method': method });
    t.equal(over.status, rest.h2Status ?? status, 'over HTTP/2');
    t.equal(over.rstCode, 0);
    if ((rest.h2Status ?? status) !== 502) {
      t.same(
        over.interim.map((one) => one[':status']),
        rest.interim ?? [],
      );
      if (rest.body !== undefined) t.equal(over.body, rest.body);
      for (const [name, value] of Object.entries(fields)) {
        const got = over.headers[name] ?? null;
        t.equal(Array.isArray(got) ? got.join('|') : got, value, name);
      }
    } else {
      t.equal(over.headers['content-type'], 'application/problem+json');
      t.same(Object.keys(over.headers).sort(), [
        ':status',
        'content-length',
        'content-type',
        'date',
        'x-request-id',
      ]);
      t.equal(JSON.parse(over.body).code, 'upstream_unreachable');
      t.notMatch(over.body, new RegExp(rest.cause!), 'a client is not told more');
    }
    if (rest.cause !== undefined) {
      t.ok((await failures(rest.cause)) > before, `counted as ${rest.cause}`);
    }
    t.equal(await failures('edge_failed'), 0);
  });
}

// What speaks to upstreams is another in the clear than over TLS.
for (const one of cases) {
  await hold(edge, 'in the clear', one);
  await hold(overTls, 'over TLS', one);
}

await edge.attack(t, 'names of fields keep their case over HTTP/1.1', async (t) => {
  edge.upstream.on(
    '/x',
    'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nx-LOWER: 1\r\nContent-Length: 0\r\n\r\n',
  );
  const client = await edge.raw();
  client.send(`GET /x HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  t.match(await client.until(/\r\n\r\n/), /^HTTP\/1\.1 401 No\r\nWWW-Authenticate: Basic\r\nx-LOWER: 1\r\n/);
});

await edge.attack(t, 'a client of HTTP/1.0 gets no interim answer', async (t) => {
  edge.upstream.on(
    '/x',
    `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n${plain}`,
  );
  const client = await edge.raw();
  client.send(`GET /x HTTP/1.0\r\nHost: ${host}\r\n\r\n`);
  await client.ended();
  t.same(client.statuses, [200]);
});

await edge.attack(t, 'a reason phrase that comes in parts is one', async (t) => {
  const asked = edge.upstream.next('/x');
  let rest: (() => void) | null = null;
  edge.upstream.on('/x', (_request, socket) => {
    socket.write('HTTP/1.1 404 No');
    rest = () => void socket.write('t here\r\nContent-Length: 0\r\n\r\n');
  });
  const client = await edge.raw();
  client.send(`GET /x HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  await asked;
  await edge.fetch('/');
  rest!();
  t.match(await client.until(/\r\n\r\n/), /^HTTP\/1\.1 404 Not here\r\n/);
});

await edge.attack(t, 'thousands of fields in an answer cost no other stream of the session', async (t) => {
  edge.upstream.on(
    '/x',
    `HTTP/1.1 200 OK\r\n${'Set-Cookie: a\r\n'.repeat(4_000)}Content-Length: 2\r\n\r\nok`,
  );
  const session = await edge.h2({ maxHeaderListPairs: 10_000, settings: { maxHeaderListSize: 1_000_000 } });
  const answers = await Promise.all(['/x', '/y', '/x'].map((path) => exchangeH2(session, { ':path': path })));
  t.same(
    answers.map(({ status, body }) => [status, body]),
    Array(3).fill([200, 'ok']),
  );
  t.equal(answers[0]!.headers['set-cookie']!.length, 4_000);
});
