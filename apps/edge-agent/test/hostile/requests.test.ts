import { once } from 'node:events';
import type { OutgoingHttpHeaders } from 'node:http2';
import t from 'tap';
import { exchangeH2 } from './h2-exchange.ts';
import { host, startHostileEdge } from './hostile-edge.ts';

const edge = await startHostileEdge(t);
const wild = 'x.wild.example.com';

/** The answer to bytes on a connection of their own, and how many requests reached the upstream. */
async function exchange(bytes: string): Promise<{ status: number; answer: string; forwarded: number }> {
  const before = edge.upstream.requests.length;
  const client = await edge.raw();
  client.send(bytes);
  const answer = await client.until(/HTTP\/1\.1 [2-5]\d\d [\s\S]*\r\n\r\n/);
  client.close();
  return { status: client.statuses.at(-1)!, answer, forwarded: edge.upstream.requests.length - before };
}

const last = () => edge.upstream.requests.at(-1)!;

await edge.attack(t, 'a host that is none reaches no upstream, however the target is written', async (t) => {
  const bad = [
    `${host}:80@evil.com`,
    `${host}:abc`,
    `${host}:"><script>`,
    `${host}: 80`,
    `${host}:80/../x`,
    `${host}:99999`,
    `${host} evil.com`,
    `${host},evil.com`,
    `x/y.wild.example.com`,
    `x?y.wild.example.com`,
    `x#y.wild.example.com`,
    `x\\y.wild.example.com`,
    `x@y.wild.example.com`,
    `x<y.wild.example.com`,
    `x"y.wild.example.com`,
    `x y.wild.example.com`,
    `{}.wild.example.com`,
    `\xff.wild.example.com`,
    `x%00.wild.example.com`,
    `x:y.wild.example.com`,
    `[::1].wild.example.com`,
    `.wild.example.com`,
    '',
    ' ',
  ];
  for (const name of bad) {
    const { status, forwarded } = await exchange(`GET / HTTP/1.1\r\nHost: ${name}\r\n\r\n`);
    t.same([status, forwarded], [400, 0], JSON.stringify(name));
    if (/[/?#]/.test(name)) continue; // these end an authority
    const absolute = await exchange(`GET http://${name}/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    t.same([absolute.status, absolute.forwarded], [400, 0], `http://${name}/`);
  }
});

await edge.attack(t, 'a host is forwarded in one form', async (t) => {
  for (const [given, sent] of [
    [host.toUpperCase(), host],
    [`${host}.`, host],
    [`${host}:443`, `${host}:443`],
    [`${host}:`, host],
    ['a_b.wild.example.com', 'a_b.wild.example.com'],
  ] as const) {
    t.equal((await exchange(`GET / HTTP/1.1\r\nHost: ${given}\r\n\r\n`)).status, 200);
    t.same(last().all('host'), [sent]);
    t.same(last().all('x-forwarded-host'), [sent]);
  }
  await exchange(`GET https://${wild}/a?b HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  t.same([last().target, last().all('host')], ['/a?b', [wild]], 'the target goes before the field');
});

await edge.attack(t, 'more than one host, or none, is refused', async (t) => {
  for (const head of [
    `Host: ${host}\r\nHost: ${host}\r\n`,
    `Host: ${host}\r\nhost: other.example.com\r\n`,
    '',
    `Host:\r\n`,
  ]) {
    const { status, forwarded } = await exchange(`GET / HTTP/1.1\r\n${head}\r\n`);
    t.same([status, forwarded], [400, 0], head);
  }
  t.same((await exchange('GET / HTTP/1.0\r\n\r\n')).status, 400);
});

await edge.attack(t, 'routes are matched by what the upstream receives', async (t) => {
  const paths = ['/public', '/internal', '/adm', '/caf%C3%A9'];
  await edge.commit(edge.routeChange('paths', ['paths.wild.example.com'], [edge.upstream.url], paths));
  await edge.settings();
  const send = async (target: string) => {
    const { status, forwarded } = await exchange(
      `GET ${target} HTTP/1.1\r\nHost: paths.wild.example.com\r\n\r\n`,
    );
    return forwarded === 1 ? last().target : status;
  };
  for (const [target, result] of [
    ['/public/../internal/keys', '/internal/keys'],
    ['/public/../secret', 404],
    ['/public/..%2finternal', 400],
    ['/public/%2e%2e/secret', 404],
    ['/public/.%2e/adm', '/adm'],
    ['/x/../adm', '/adm'],
    ['/./adm', '/adm'],
    ['//adm', '/adm'],
    ['/%61dm', '/adm'],
    ['/adm%2fx', '/adm%2Fx'],
    ['/adm;x', '/adm;x'],
    ['/%2fadm', '/%2Fadm'],
    ['/adm/..;/x', 400],
    ['/admin', 404],
    ['/adm?x=/../y', '/adm?x=/../y'],
    ['/adm#x', 400],
    ['/adm\\x', 400],
    ['/adm/%00', 400],
    ['/caf%c3%a9/x', '/caf%C3%A9/x'],
    ['/public/%c0%ae%c0%ae/x', 400],
    ['/public/x%', 400],
    ['https://paths.wild.example.com/public/../adm', '/adm'],
    ['https://paths.wild.example.com', 404],
  ] as const) {
    t.equal(await send(target), result, target);
  }
  const session = await edge.h2();
  for (const [target, result] of [
    ['/public/../internal/keys', '/internal/keys'],
    ['/%61dm', '/adm'],
    ['/adm#x', 400],
    ['/adm\\x', 400],
    ['/public/..%2f', 400],
    ['http://paths.wild.example.com/adm', 0],
    ['adm', 0],
  ] as const) {
    const before = edge.upstream.requests.length;
    const { status } = await exchangeH2(session, { ':path': target, ':authority': 'paths.wild.example.com' });
    t.equal(edge.upstream.requests.length > before ? last().target : status, result, `h2 ${target}`);
  }
});

await edge.attack(t, 'what passes for a field of the edge does not pass', async (t) => {
  const claimed = [
    'X-Forwarded-For',
    'X_Forwarded_For',
    'x-forwarded_for',
    'X-Forwarded-Port',
    'X-Forwarded-Ssl',
    'X_Forwarded_Host',
    'X_Forwarded_Proto',
    'X-Real-IP',
    'X_Real_IP',
    'Forwarded',
    'Transfer_Encoding',
    'Content_Length',
    'X_Request_ID',
    'Proxy',
    'Proxy-Authorization',
    'Keep-Alive',
    'TE',
    'Proxy_Connection',
    'HTTP2-Settings',
  ];
  const fields = claimed.map((name) => `${name}: 6.6.6.6\r\n`).join('');
  const own = 'My_Field: mine\r\nX-Forward: mine\r\n';
  await exchange(
    `GET / HTTP/1.1\r\nHost: ${host}\r\n${fields}${own}Connection: close, X-Named\r\nX-Named: y\r\n\r\n`,
  );
  t.notMatch(last().head, /6\.6\.6\.6|x-named/i);
  t.same([last().all('my_field'), last().all('x-forward')], [['mine'], ['mine']]);
  t.same(last().all('x-forwarded-for'), ['127.0.0.1']);
  const session = await edge.h2();
  const lower = Object.fromEntries(
    claimed
      .map((name) => name.toLowerCase())
      .filter((name) => !['te', 'keep-alive', 'http2-settings'].includes(name))
      .map((name) => [name, '6.6.6.6']),
  );
  t.equal((await exchangeH2(session, { ':path': '/', ...lower })).status, 200);
  t.notMatch(last().head, /6\.6\.6\.6/);
});

await edge.attack(
  t,
  'a body whose length is not clear, or coded, is refused and ends the connection',
  async (t) => {
    for (const [version, fields, status] of [
      ['1.0', 'Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n', 400],
      ['1.1', 'Transfer-Encoding: gzip, chunked\r\n', 501],
      ['1.1', 'Transfer-Encoding: identity, chunked\r\n', 501],
      ['1.1', 'Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n', 501],
      ['1.1', 'Transfer-Encoding: chunked, chunked\r\n', 400],
      ['1.1', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', 400],
      ['1.1', 'Transfer-Encoding: chunked, gzip\r\n', 400],
      ['1.1', 'Transfer-Encoding: gzip\r\n', 400],
      ['1.1', 'Transfer-Encoding:\r\n', 400],
      ['1.1', 'Transfer-Encoding: chunked\r\nContent-Length: 3\r\n', 400],
      ['1.1', 'Content-Length: 3\r\nContent-Length: 3\r\n', 400],
      ['1.1', 'Content-Length: 3, 3\r\n', 400],
      ['1.1', 'Content-Length: +3\r\n', 400],
      ['1.1', 'Content-Length: -1\r\n', 400],
      ['1.1', 'Content-Length: 0x3\r\n', 400],
      ['1.1', 'Content-Length: 9007199254740993\r\n', 400],
      ['1.1', 'Content-Length: 18446744073709551615\r\n', 400],
      ['1.1', 'Content-Length: 99999999999999999999999\r\n', 400],
    ] as const) {
      const client = await edge.raw();
      client.send(`POST / HTTP/${version}\r\nHost: ${host}\r\n${fields}\r\n0\r\n\r\n`);
      await client.ended();
      t.same(client.statuses, [status], fields);
    }
    t.same(
      edge.upstream.requests.filter(({ method }) => method === 'POST'),
      [],
    );
  },
);

await edge.attack(
  t,
  'versions, methods and expectations that are not known are answered so, over both protocols',
  async (t) => {
    const h = `Host: ${host}\r\n`;
    for (const [head, status] of [
      [`GET /\r\n${h}`, 400],
      [`GET / HTTP/0.9\r\n${h}`, 400],
      [`GET / HTTP/2.0\r\n${h}`, 505],
      [`GET / HTTP/3.0\r\n${h}`, 505],
      [`GET / HTTX/1.1\r\n${h}`, 400],
      [`GET / HTTP/1.1\n${h}`, 400],
      [`GET / HTTP/1.0\n${h}`, 400],
      [`GET / HTTP/1.1 \r\n${h}`, 400],
      [`GET / HTTP/1.10\r\n${h}`, 400],
      [`GET / HTTP/1\r\n${h}`, 400],
      ...['DESCRIBE', 'GET', 'OPTIONS', 'SOURCE'].flatMap((method) =>
        ['RTSP/1.0', 'RTSP/1.1', 'ICE/1.0'].map(
          (version) => [`${method} / ${version}\r\n${h}`, 400] as const,
        ),
      ),
      [`GET / RTSP/1.1\r\n${h}Connection: Upgrade\r\nUpgrade: websocket\r\n`, 400],
      [`SOURCE / HTTP/1.1\r\n${h}`, 501],
      [`DESCRIBE / HTTP/1.1\r\n${h}`, 501],
      [`RDG_OUT_DATA /x HTTP/1.1\r\n${h}`, 501],
      [`BREW /pot HTTP/1.1\r\n${h}`, 501],
      [`CONNECT ${host}:443 HTTP/1.1\r\n${h}`, 501],
      [`POST / HTTP/1.1\r\n${h}Expect: 200-ok\r\nContent-Length: 0\r\n`, 417],
      [`GET / HTTP/1.1\r\n${h}Expect: x\r\n`, 417],
      [`GET / HTTP/1.1\r\n${h}Expect: 100-continue, x\r\n`, 417],
      [`TRACE / HTTP/1.1\r\n${h}Max-Forwards: 0\r\n`, 405],
      [`OPTIONS / HTTP/1.1\r\n${h}Max-Forwards: 0\r\n`, 204],
      [`OPTIONS * HTTP/1.1\r\n${h}`, 204],
      [`OPTIONS https://${host} HTTP/1.1\r\n${h}`, 204],
      [`OPTIONS * HTTP/1.1\r\nHost: nope.example.com\r\n`, 404],
      [`GET * HTTP/1.1\r\n${h}`, 400],
      [`GET foo HTTP/1.1\r\n${h}`, 400],
    ] as const) {
      const result = await exchange(`${head}\r\n`);
      t.same([result.status, result.forwarded], [status, 0], head);
    }
    const session = await edge.h2();
    const ask = async (headers: OutgoingHttpHeaders) =>
      (await exchangeH2(session, { ':path': '/', ...headers })).status;
    t.equal(await ask({ ':method': 'RDG_OUT_DATA' }), 501);
    t.equal(await ask({ ':method': 'SOURCE' }), 501);
    for (const endStream of [true, false]) {
      const connect = session.request({ ':method': 'CONNECT', ':authority': `${host}:443` }, { endStream });
      connect.on('error', () => {});
      const [head] = await once(connect, 'response');
      t.equal(head[':status'], 501);
      connect.resume();
    }
    t.equal(await ask({ expect: '200-ok' }), 417);
    t.equal(await ask({ ':method': 'TRACE', 'max-forwards': '0' }), 405);
    t.equal(await ask({ ':method': 'OPTIONS', ':path': '*' }), 204);
    const before = edge.upstream.requests.length;
    await exchange(`OPTIONS / HTTP/1.1\r\n${h}Max-Forwards: 7\r\n\r\n`);
    t.same(last().all('max-forwards'), ['6']);
    await exchange(`GET / HTTP/1.1\r\n${h}Max-Forwards: 0\r\n\r\n`);
    t.same(last().all('max-forwards'), ['0'], 'it is for TRACE and OPTIONS alone');
    t.equal(edge.upstream.requests.length, before + 2);
    t.equal(await edge.metric('refused_requests_total', 'reason="unknown_method"'), 9);
    const kept = await edge.raw();
    kept.send(`GET / HTTP/1.1\r\n${h}\r\n`);
    await kept.until(/ok$/);
    kept.send(`DESCRIBE / RTSP/1.0\r\n${h}\r\n`);
    await kept.ended();
    t.same(kept.statuses, [200, 400], 'on a kept connection as well');
    t.equal(edge.upstream.requests.length, before + 3);
  },
);

await edge.attack(t, 'requests say how they came, and one that goes in a circle is stopped', async (t) => {
  await exchange(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const [via] = last().all('via');
  t.match(via, /^1\.1 lockstep-[0-9a-f]+$/);
  await exchange(`GET / HTTP/1.0\r\nHost: ${host}\r\nVia: 1.1 cdn\r\n\r\n`);
  t.equal(last().all('via')[0], `1.1 cdn, ${via!.replace('1.1', '1.0')}`);
  await exchangeH2(await edge.h2(), { ':path': '/' });
  t.match(last().all('via')[0], /^2\.0 lockstep-/);
  const often = await exchange(
    `GET / HTTP/1.1\r\nHost: ${host}\r\nVia: ${Array(4).fill(via).join(', ')}\r\n\r\n`,
  );
  t.same([often.status, often.forwarded], [508, 0]);
});

await edge.attack(t, 'Host and :authority that differ are refused over HTTP/2', async (t) => {
  const session = await edge.h2();
  const ask = async (headers: OutgoingHttpHeaders) =>
    (await exchangeH2(session, { ':path': '/', ...headers })).status;
  t.equal(await ask({ ':authority': host, host: 'other.example.com' }), 400);
  t.equal(await ask({ ':authority': host, host: host.toUpperCase() }), 200);
  t.equal(await ask({ ':authority': `${host}:abc` }), 400);
  t.equal(await ask({ ':authority': `${host}:80@evil.com` }), 0, 'the stream is reset');
  t.equal(await ask({ ':authority': 'x/y.wild.example.com' }), 0);
});

await edge.attack(
  t,
  'a pending http-01 challenge is answered over https as well, until it is removed',
  async (t) => {
    const id = 'evaGxfADs6pSRb2LAv9IZf17Dt3juxGJyPCt92wr-oA';
    const value = {
      type: 'http-01',
      host: 'new.example.com',
      token: id,
      keyAuthorization: `${id}.thumb`,
      createdAt: '2026-11-24T00:00:00Z',
    } as const;
    await edge.commit({ op: 'put', kind: 'challenge', id, value });
    await edge.settings();
    const path = `/.well-known/acme-challenge/${id}`;
    t.match(await edge.fetch(path), { status: 200, body: `${id}.thumb` });
    t.match(await exchangeH2(await edge.h2(), { ':path': path }), { status: 200, body: `${id}.thumb` });
    t.equal(edge.upstream.requests.length, 0);
    await edge.commit({ op: 'delete', kind: 'challenge', id });
    await edge.settings();
    t.match(await edge.fetch(path), { status: 200, body: 'ok' }, 'the path is the upstream’s again');
  },
);

await edge.attack(
  t,
  'lengths have no leading zeros for the upstream, and fields of HTTP/2 no spaces around them',
  async (t) => {
    const client = await edge.raw();
    client.send(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 007\r\n\r\n1234567`);
    await client.until(/ok$/);
    t.same(last().all('content-length'), ['7']);
    for (const value of [' Bearer x', 'Bearer x ', '\tBearer x']) {
      const raw = await edge.raw({ servername: host, ALPNProtocols: ['h2'] });
      const before = edge.upstream.requests.length;
      const literal = (text: string) =>
        Buffer.concat([Buffer.from([text.length]), Buffer.from(text, 'latin1')]);
      const block = Buffer.concat([
        Buffer.from([0x82, 0x87, 0x84, 0x41]), // GET, https, /, and :authority
        literal(host),
        Buffer.from([0]),
        literal('authorization'),
        literal(value),
      ]);
      const head = Buffer.from([0, 0, block.length, 1, 5, 0, 0, 0, 1]);
      raw.send(
        Buffer.concat([
          Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
          Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
          head,
          block,
        ]),
      );
      await raw.until(/"instance"/);
      t.match(raw.received, /"status":400/);
      t.equal(edge.upstream.requests.length, before);
    }
  },
);
