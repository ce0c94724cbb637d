import { startOcspResponder, startUpstream, waitFor } from '@lockstep/testkit';
import t from 'tap';
import {
  checkChain,
  createAuthority,
  fetchStaple,
  generateKeyPem,
  issueCertificate,
  ocspUrlOf,
  splitChain,
} from '../../src/index.ts';

const minuteMs = 60_000;
const responder = await startOcspResponder();
t.teardown(() => responder.close());
const { chain, url } = responder;
const fetching = (options = {}) => fetchStaple({ url, chain, now: Date.now(), ...options });
const refused = (message: RegExp) => ({ code: 'issuer_failed', message });

t.test('the responder is the leaf’s by http, and none where it names none', async (t) => {
  t.equal(ocspUrlOf(chain), url, 'the one by https before it is passed over');
  const authority = await createAuthority();
  const keyPem = await generateKeyPem();
  const options = { authority, host: 'a.example.com', keyPem, lifetimeMs: 86_400_000, now: Date.now() };
  t.equal(ocspUrlOf(await issueCertificate(options)), null);
});

t.test('OpenSSL’s responder says good, revoked and unknown', async (t) => {
  t.teardown(() => responder.setStatus('good'));
  for (const status of ['good', 'revoked', 'unknown'] as const) {
    await responder.setStatus(status);
    const staple = await fetching();
    t.equal(staple.status, status);
    const lasts = Date.parse(staple.nextUpdate) - Date.parse(staple.thisUpdate);
    t.equal(lasts, 60 * minuteMs);
    t.ok(staple.response.length > 100);
  }
});

t.test(
  'a response counts from its beginning to its end, give or take a clock that is 5 minutes off',
  async (t) => {
    const now = Date.now();
    t.ok(await fetching({ now: now - 4 * minuteMs }));
    await t.rejects(fetching({ now: now - 6 * minuteMs }), refused(/ahead of time/));
    t.ok(await fetching({ now: now + 59 * minuteMs }));
    await t.rejects(fetching({ now: now + 61 * minuteMs }), refused(/ended at/));
  },
);

t.test('a response without a next update is good for an hour', async (t) => {
  const other = await startOcspResponder({ nextUpdateMinutes: null });
  t.teardown(() => other.close());
  const staple = await fetching(other);
  t.equal(Date.parse(staple.nextUpdate) - Date.parse(staple.thisUpdate), 60 * minuteMs);
  await t.rejects(fetching({ ...other, now: Date.now() + 61 * minuteMs }), refused(/ended at/));
});

t.test('the issuer may have a responder of its own sign, if it made it for that', async (t) => {
  const delegate = await startOcspResponder({ signer: 'delegate' });
  t.teardown(() => delegate.close());
  t.equal((await fetching({ url: delegate.url, chain: delegate.chain })).status, 'good');
  const unfit = await startOcspResponder({ signer: 'unfit' });
  t.teardown(() => unfit.close());
  await t.rejects(fetching({ url: unfit.url, chain: unfit.chain }), refused(/did not make for OCSP/));
});

t.test('a responder of another CA, and an answer about another certificate, are not believed', async (t) => {
  const stranger = await startOcspResponder({ signer: 'delegate' });
  t.teardown(() => stranger.close());
  await t.rejects(fetching({ url: stranger.url }), refused(/did not make for OCSP/));

  const { response } = await fetching();
  let replayed = response;
  const replay = await startUpstream((_request, answer) => answer.end(replayed));
  t.teardown(() => replay.close());
  t.same((await fetching({ url: replay.url })).response, response);
  await t.rejects(fetching({ url: replay.url, chain: stranger.chain }), refused(/another certificate/));

  // Good, and then a GeneralizedTime, becomes unknown.
  const good = response.indexOf(Buffer.from('8000180f', 'hex'));
  t.ok(good > 0);
  replayed = Buffer.from(response);
  replayed[good] = 0x82;
  await t.rejects(fetching({ url: replay.url }), refused(/no certificate that its signature fits/));
});

t.test('what is no answer is told as such', async (t) => {
  let status = 200;
  let body: Buffer | string = '';
  const asked: unknown[] = [];
  const broken = await startUpstream((request, response) => {
    asked.push([request.method, request.headers['content-type']]);
    response.writeHead(status, { location: url }).end(body);
  });
  t.teardown(() => broken.close());
  const answers: [number, Buffer | string, RegExp][] = [
    [503, '', /status 503/],
    [302, '', /status 302/],
    [200, '<html>', /something else than an OCSP response/],
    [200, '', /something else than an OCSP response/],
    [200, Buffer.from('30030a0103', 'hex'), /answered "tryLater"/],
    [200, Buffer.from('30030a0106', 'hex'), /answered "unauthorized"/],
    [200, Buffer.alloc(70_000), /maxContentLength/],
  ];
  for (const [code, content, message] of answers) {
    [status, body] = [code, content];
    await t.rejects(fetching({ url: broken.url }), refused(message));
  }
  t.same(asked[0], ['POST', 'application/ocsp-request']);
  await t.rejects(fetching({ chain: splitChain(chain)[0] }), refused(/needs its issuer/));
  await t.rejects(fetching({ url: 'http://127.0.0.1:1/' }), refused(/ECONNREFUSED/));
});

t.test('a silent responder is given up after the time-out, and at once when aborted', async (t) => {
  responder.setMood('hangs');
  t.teardown(() => responder.setMood('answers'));
  await t.rejects(fetching({ timeoutMs: 20 }), refused(/no answer within 20 ms/));
  const reason = new Error('stopping');
  await t.rejects(fetching({ signal: AbortSignal.abort(reason) }), reason);
  const stop = new AbortController();
  const before = responder.requestCount();
  const fetched = t.rejects(fetching({ signal: stop.signal }), reason);
  await waitFor(() => responder.requestCount() > before, { what: 'the request' });
  stop.abort(reason);
  await fetched;
});

t.test('the certificate of the test’s CA can be served', async (t) => {
  t.ok(checkChain({ chain, keyPem: responder.keyPem, host: 'ocsp.example.com', now: Date.now() }));
});
