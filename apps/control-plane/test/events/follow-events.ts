import { EventEmitter, once } from 'node:events';
import { type Event, eventTypes } from '@lockstep/contract';
import type t from 'tap';
import { Agent, EventSource } from 'undici';

/** Follows events as a browser does, whose parser and reconnects are undici's. */
export function followEvents(
  test: Pick<typeof t, 'teardown'>,
  url: string,
  token: string,
  { path = '/v1/events', reconnectionTime = 50 } = {},
) {
  const agent = new Agent();
  const dispatcher = agent.compose((dispatch) => (options, handler) => {
    const headers = { ...(options.headers as Record<string, string>), authorization: `Bearer ${token}` };
    return dispatch({ ...options, headers }, handler);
  });
  const source = new EventSource(new URL(path, url), { node: { dispatcher, reconnectionTime } } as never);
  const events: (Event & { data: { hosts?: string[]; routes?: string[] } })[] = [];
  const gaps: unknown[] = [];
  const emitter = new EventEmitter();
  for (const type of eventTypes)
    source.addEventListener(type, (message) => {
      events.push(JSON.parse((message as MessageEvent).data));
      emitter.emit('event');
    });
  source.addEventListener('gap', (message) => {
    gaps.push(JSON.parse((message as MessageEvent).data));
    emitter.emit('event');
  });
  const opened = new Promise<void>((resolve, reject) => {
    source.addEventListener('open', () => resolve());
    source.addEventListener('error', () => {
      if (source.readyState === EventSource.CLOSED) reject(new Error(`${path} gives no stream`));
    });
  });
  opened.catch(() => {});
  async function close(): Promise<void> {
    source.close();
    await agent.destroy();
  }
  test.teardown(close);

  return {
    events,
    gaps,
    opened,
    close,
    /** Until something more has come. */
    next: () => once(emitter, 'event'),
    /** Until there are so many of a type. */
    async until(type: string, count = 1): Promise<void> {
      await opened;
      while (events.filter((event) => event.type === type).length < count) await once(emitter, 'event');
    },
  };
}
