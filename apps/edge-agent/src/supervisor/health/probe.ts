import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { RouteHealth, Upstream } from '@lockstep/contract';
import { attentiveTimeout } from './attentive-timeout.ts';
import { openProbeConnection, type ProbeConnectionOptions } from './probe-connection.ts';
import { ProbeFailure, wordsFor } from './probe-failure.ts';
import { askOverHttp2, type ProbeAnswer } from './probe-http2.ts';

export type ActiveCheckSpec = NonNullable<RouteHealth['active']>;

/** So much of a body is looked at for `expectBody`, and so much of it is waited for to see that it comes whole. */
const searchedBytes = 65_536;
const readBytes = 1_048_576;

export interface ProbeOptions extends Omit<ProbeConnectionOptions, 'host'> {
  check: ActiveCheckSpec;
}

/** One question to an upstream, over a connection of its own. Resolves with why it is not well, in words; null: it is. */
export function probe(options: ProbeOptions): Promise<string | null> {
  const { check } = options;
  return new Promise((resolve) => {
    let request: ClientRequest | null = null;
    let stop: (() => void) | null = null;
    const done = (fault: string | null) => {
      endTimeout();
      request?.destroy();
      stop?.();
      resolve(fault);
    };
    const endTimeout = attentiveTimeout(check.timeoutMs, () =>
      done(`no answer within ${words(check.timeoutMs)}`),
    );
    try {
      if (options.upstream.protocol === 'h2' || options.upstream.protocol === 'h2c') {
        const host = check.host ?? hostOf(options.upstream);
        stop = askOverHttp2({ ...options, host }, check, (error, answer) => {
          if (answer === null) done(wordsFor(error));
          else
            read(answer, check).then(
              () => done(null),
              (failure) => done(wordsFor(failure)),
            );
        });
        return;
      }
      request = send(options);
      request.on('response', (response) => {
        read(answerOf(response), check).then(
          () => done(null),
          (error) => done(wordsFor(error)),
        );
      });
      request.on('error', (error) => done(wordsFor(error)));
      request.on('upgrade', () => done('it switched to another protocol'));
      request.end();
    } catch (error) {
      done(wordsFor(error));
    }
  });
}

function send(options: ProbeOptions): ClientRequest {
  const { upstream, check } = options;
  const host = check.host ?? hostOf(upstream);
  let socket: Socket | null = null;
  const request = process.getBuiltinModule('node:http').request({
    method: check.method,
    path: check.path,
    createConnection: ((_: unknown, callback: Parameters<typeof openProbeConnection>[1]) => {
      socket = openProbeConnection({ ...options, host }, callback);
    }) as never,
    headers: { host, 'user-agent': 'lockstep-health-check', accept: '*/*', connection: 'close' },
  });
  request.once('close', () => socket?.destroy());
  return request;
}

function hostOf({ url, host = 'keep' }: Upstream): string {
  if (host !== 'keep' && host !== 'upstream') return host;
  return url.startsWith('unix:') ? 'localhost' : new URL(url).host;
}

function answerOf(response: IncomingMessage): ProbeAnswer {
  response.on('error', () => {});
  return { status: response.statusCode ?? 0, body: response, isComplete: () => response.complete };
}

/** Rejects with what is wrong with an answer. */
async function read(answer: ProbeAnswer, { expectStatus, expectBody }: ActiveCheckSpec): Promise<void> {
  const { status, body } = answer;
  if (![expectStatus].flat().some((expected) => meets(status, expected)))
    throw new ProbeFailure(`it answered ${status}`);
  let text = '';
  let received = 0;
  for await (const chunk of body) {
    received += chunk.length;
    if (expectBody !== undefined && text.length < searchedBytes) text += chunk.toString('latin1');
    if (received >= readBytes) break;
  }
  if (received < readBytes && !answer.isComplete()) throw new ProbeFailure('its answer broke off');
  if (expectBody === undefined) return;
  const wanted = Buffer.from(expectBody).toString('latin1');
  if (!text.slice(0, searchedBytes).includes(wanted))
    throw new ProbeFailure('its answer lacks the expected text');
}

/** `expected`: 200, "2xx" or "200-399". */
function meets(status: number, expected: number | string): boolean {
  if (typeof expected === 'number') return status === expected;
  if (expected.endsWith('xx')) return Math.trunc(status / 100) === Number(expected[0]);
  const [from, to] = expected.split('-').map(Number) as [number, number];
  return status >= from && status <= to;
}

function words(ms: number): string {
  return ms % 1_000 === 0 ? `${ms / 1_000} s` : `${ms} ms`;
}
