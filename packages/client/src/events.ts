import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { type Api, type ApiOptions, answerOf } from './api.ts';
import type { components, operations } from './api-types.ts';
import { type CallOptions, given } from './call-options.ts';
import { LockstepError } from './lockstep-error.ts';
import { eachOf } from './pages.ts';
import { pause } from './pause.ts';

type Schemas = components['schemas'];
export type Event = Schemas['Event'];

/** Events between were no longer kept: read what you need anew. */
export interface EventGap {
  type: 'gap';
  since: string;
  goesOnAt: string;
}

type Query = NonNullable<operations['getEvents']['parameters']['query']>;

/** Which events; of several conditions all. */
export interface EventFilter {
  /** `route.live`, or `route.*` for all of a family. */
  types?: string[] | undefined;
  route?: string | undefined;
  host?: string | undefined;
  tenant?: string | undefined;
  /** What comes after this event; `beginning`: the oldest that is kept. */
  since?: string | undefined;
}

/** Three heartbeats. */
const silentForMs = 45_000;
const longestPauseMs = 8_000;

/** What happens. */
export function createEvents(api: Api, { url, token, fetch = globalThis.fetch }: ApiOptions) {
  const address = `${url.replace(/\/+$/, '')}/v1/events`;

  return {
    /** Those that are kept, the oldest first. Throws `LockstepError`: 410 `events_gone` where some after `since` are no longer kept. */
    list: (filter: EventFilter = {}, { signal }: CallOptions = {}): AsyncGenerator<Event, void> =>
      eachOf(async (cursor) => {
        const query = { limit: 1_000, ...queryOf(filter), ...(cursor && { since: cursor }) };
        const headers = { accept: 'application/json' };
        // A list, since it was asked for one.
        return (await answerOf(
          api.GET('/v1/events', { params: { query }, headers, ...given(signal) }),
        )) as Schemas['EventPage'];
      }),
    /**
     * Each as it happens, once and in order, until the signal aborts: comes back by itself behind the last one, to whichever control plane
     * answers. Throws `LockstepError` where that makes no sense.
     */
    async *follow(
      filter: EventFilter = {},
      { signal }: CallOptions = {},
    ): AsyncGenerator<Event | EventGap, void> {
      let last = filter.since ?? null;
      for (let failures = 0; !signal?.aborted; ) {
        const silence = new AbortController();
        try {
          const ended = AbortSignal.any([silence.signal, ...(signal ? [signal] : [])]);
          const response = await fetch(
            new Request(
              `${address}?${new URLSearchParams(pairsOf(queryOf({ ...filter, since: undefined })))}`,
              {
                headers: {
                  authorization: `Bearer ${token}`,
                  accept: 'text/event-stream',
                  ...(last !== null && { 'last-event-id': last }),
                },
                signal: ended,
              },
            ),
          );
          if (!response.ok && ![429, 502, 503, 504].includes(response.status))
            throw new LockstepError(response, await response.json().catch(() => null));
          if (response.ok && response.body !== null) {
            failures = 0;
            for await (const message of messagesOf(response.body, silence, (id) => {
              last = id;
            }))
              yield message;
          } else failures += 1;
        } catch (error) {
          if (signal?.aborted) break;
          if (error instanceof LockstepError) throw error;
          failures += 1;
        } finally {
          silence.abort();
        }
        const atMostMs = Math.min(longestPauseMs, 250 * 2 ** failures);
        await pause(atMostMs * (0.5 + Math.random() / 2), signal).catch(() => {});
      }
    },
  };
}

/** Ends with the stream, or when nothing has come for so long that it must be dead. */
async function* messagesOf(
  body: ReadableStream<Uint8Array>,
  silence: AbortController,
  onId: (id: string) => void,
): AsyncGenerator<Event | EventGap, void> {
  const messages: EventSourceMessage[] = [];
  let idle: string | null = null;
  const parser = createParser({
    onId: (id) => {
      idle = id;
    },
    onEvent: (message) => {
      idle = null;
      messages.push(message);
    },
  });
  const reader = body.getReader();
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const timer = setTimeout(() => silence.abort(new Error('the stream is silent')), silentForMs);
      const { done, value } = await reader.read().finally(() => clearTimeout(timer));
      if (done) return;
      parser.feed(decoder.decode(value, { stream: true }));
      // An id counts once what it belongs to was taken.
      for (const { event, data, id } of messages.splice(0)) {
        yield event === 'gap' ? { type: 'gap', ...JSON.parse(data) } : JSON.parse(data);
        if (id !== undefined) onId(id);
      }
      if (idle !== null) onId(idle);
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

function queryOf({ types, ...rest }: EventFilter): Query {
  const given = Object.entries(rest).filter(([, value]) => value !== undefined);
  return { ...Object.fromEntries(given), ...(types && { type: types.join(',') }) };
}

function pairsOf(query: Query): Record<string, string> {
  return Object.fromEntries(Object.entries(query).map(([name, value]) => [name, String(value)]));
}
