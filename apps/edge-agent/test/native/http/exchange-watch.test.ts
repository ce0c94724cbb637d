import type { EdgeSettings } from '@lockstep/contract';
import t from 'tap';
import { ExchangeWatch } from '../../../src/native/http/exchange-watch.ts';
import type { RequestBody } from '../../../src/native/upstreams/request-body.ts';
import type { ClientRequest, ClientResponse } from '../../../src/server/client-message.ts';

const timeouts = { bodyIdleMs: 1_000, writeIdleMs: 1_000, firstByteMs: 500 } as EdgeSettings['timeouts'];

t.test('the time for a body begins with the first look at it, and anew with each part', async (t) => {
  const request = { readableFlowing: true, complete: false } as ClientRequest;
  const body = { receivedBytes: 0, expectsContinue: false } as RequestBody;
  const watch = new ExchangeWatch(request, { writableLength: 0 } as ClientResponse);
  watch.body = body;
  const start = Date.parse('2026-11-25');
  t.equal(watch.check(start, timeouts), null, 'whatever the clock says');
  t.equal(watch.check(start + 1_000, timeouts), null);
  Object.assign(body, { receivedBytes: 1 });
  t.equal(watch.check(start + 1_100, timeouts), null);
  t.equal(watch.check(start + 2_100, timeouts), null);
  t.equal(watch.check(start + 2_101, timeouts), 'stalled_body');
});
