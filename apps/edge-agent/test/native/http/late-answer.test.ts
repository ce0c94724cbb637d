import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import t from 'tap';
import { Exchange } from '../../../src/native/http/exchange.ts';
import { AnswerHead } from '../../../src/native/upstreams/answer-head.ts';
import { ExchangeError } from '../../../src/native/upstreams/failure-cause.ts';

// In process: over real sockets the answer of the edge is out before an upstream could be made to answer at that very moment.
t.test(
  'an upstream that answers when the edge has just refused the body is no failure of the edge',
  async (t) => {
    const request = new IncomingMessage(new Socket());
    const response = new ServerResponse(request);
    response.writeHead(400);
    const exchange = new Exchange({
      request,
      response,
      forwarded: { hasBody: false },
    } as unknown as ConstructorParameters<typeof Exchange>[0]);
    t.throws(
      () => exchange.onHead(200, new AnswerHead([]), 'OK'),
      new ExchangeError('client_body_broke_off'),
    );
    t.equal(response.statusCode, 400);
  },
);
