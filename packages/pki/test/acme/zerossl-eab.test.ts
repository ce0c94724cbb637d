import { freePort, startUpstream } from '@lockstep/testkit';
import t from 'tap';
import { fetchZeroSslEab } from '../../src/index.ts';

// A double: ZeroSSL's API can be had with an account there only.
let answer: { status?: number; headers?: Record<string, string>; body: unknown } = { body: '' };
const requests: {
  method?: string | undefined;
  url?: string | undefined;
  type?: string | undefined;
  body: string;
}[] = [];
const api = await startUpstream(async (request, response) => {
  const chunks = await request.toArray();
  const { method, url, headers } = request;
  requests.push({ method, url, type: headers['content-type'], body: Buffer.concat(chunks).toString() });
  response.writeHead(answer.status ?? 200, { 'content-type': 'application/json', ...answer.headers });
  response.end(typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body));
});
t.teardown(() => api.close());

const apiKey = 'very-secret-key';
const fetching = (options = {}) => fetchZeroSslEab({ apiKey, baseUrl: api.url, ...options });
const binding = { success: true, eab_kid: 'kid-1', eab_hmac_key: 'aG1hYw' };

t.test('by API key, else by e-mail', async (t) => {
  answer = { body: binding };
  t.same(await fetching({ email: 'ops@example.com' }), { kid: 'kid-1', hmacKey: 'aG1hYw' });
  t.match(requests.at(-1), { method: 'POST', url: `/acme/eab-credentials?access_key=${apiKey}`, body: '' });
  answer = { body: { ...binding, success: 1 } };
  t.ok(await fetching({ apiKey: null, email: 'ops+acme@example.com' }));
  t.match(requests.at(-1), {
    method: 'POST',
    url: '/acme/eab-credentials-email',
    type: 'application/x-www-form-urlencoded',
    body: 'email=ops%2Bacme%40example.com',
  });
  await t.rejects(fetching({ apiKey: '' }), {
    code: 'issuer_failed',
    message: /needs an API key or the e-mail/,
  });
});

t.test('a refusal comes with status 200, and is told by ZeroSSL’s word for it', async (t) => {
  const message = 'ZeroSSL gives no external account binding for the API key: invalid_access_key';
  for (const success of [false, 0, undefined]) {
    answer = {
      body: { success, error: { code: 101, type: 'invalid_access_key', info: `${apiKey} is unknown` } },
    };
    await t.rejects(fetching(), { name: 'AppError', code: 'issuer_failed', message });
  }
  answer = { body: { success: false } };
  await t.rejects(fetching({ apiKey: null, email: 'a@example.com' }), {
    code: 'issuer_failed',
    message: /for the e-mail address: no reason/,
  });
  answer = { body: { success: false, error: { type: `echo ${apiKey}` } } };
  const error = await fetching().catch((error) => error);
  t.notMatch(`${error.stack}${JSON.stringify(error)}`, apiKey, 'not even where ZeroSSL repeats the key');
});

t.test('where it cannot be asked, it is the CA’s temporary problem, with when to ask again', async (t) => {
  const problem = { name: 'AcmeProblem' };
  answer = { status: 429, headers: { 'retry-after': '30' }, body: { error: { type: 'rate_limit_reached' } } };
  await t.rejects(fetching(), {
    ...problem,
    status: 429,
    detail: /rate_limit_reached/,
    retryAfterMs: 30_000,
  });
  answer = { status: 503, body: '<html>' };
  await t.rejects(fetching(), { ...problem, status: 503, detail: /status 503/ });
  for (const body of ['<html>', 'null', {}, { success: true, eab_kid: 'kid-1' }]) {
    answer = { body };
    await t.rejects(fetching(), { ...problem, status: 200, detail: /no external account binding/ });
  }
  const gone = `http://127.0.0.1:${await freePort()}`;
  const error = await fetching({ baseUrl: gone }).catch((error) => error);
  t.match(error, { ...problem, status: null, detail: /ECONNREFUSED/ });
  t.notMatch(`${error.stack}${JSON.stringify(error)}`, apiKey);
});

t.test('a stop does not wait for it', async (t) => {
  const reason = new Error('stopping');
  await t.rejects(fetching({ signal: AbortSignal.abort(reason) }), reason);
  const silent = await startUpstream(() => stop.abort(reason));
  const stop = new AbortController();
  t.teardown(() => silent.close());
  await t.rejects(fetching({ baseUrl: silent.url, signal: stop.signal }), reason);
  const silentStill = await startUpstream(() => {});
  t.teardown(() => silentStill.close());
  await t.rejects(fetching({ baseUrl: silentStill.url, timeoutMs: 20 }), {
    message: /no answer within 20 ms/,
  });
});
