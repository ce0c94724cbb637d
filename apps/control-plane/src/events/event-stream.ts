import type { Writable } from 'node:stream';
import type { StoredEvent } from '@lockstep/contract';
import { presentEvent } from './event-filter.ts';
import type { EventHistory } from './event-history.ts';

export const heartbeatMs = 15_000;
/** Whoever takes nothing for so long is cut. */
const slowMs = 30_000;
const readAtOnce = 100;
/** Of a reader that is slow, what is held for it. */
const mostHeldBytes = 32_768;
/** Before another try to read what cannot be read now. */
const tryAgainMs = 2_000;

export interface EventStreamOptions {
  history: EventHistory;
  /** Behind this event; '' from the first of all on; null: from now on. */
  after: string | null;
  matches(event: StoredEvent): boolean;
  /** Whether the reader still may; asked before anything is sent. */
  may(): Promise<boolean>;
  to: Writable;
  signal: AbortSignal;
  heartbeatMs?: number;
  slowMs?: number;
}

/**
 * Sends events as they come, in the format of server-sent events (HTML, section 9.2), until `signal` aborts or the reader is too slow.
 * Each heartbeat has the id of the last event looked at, so that whoever comes back goes on there though nothing matched.
 */
export async function streamEvents(options: EventStreamOptions): Promise<void> {
  const { history, to, signal, may } = options;
  let nudge = () => {};
  const unwatch = history.watch(() => nudge());
  const onAbort = () => nudge();
  signal.addEventListener('abort', onAbort);
  try {
    let after = options.after ?? (await history.read({ limit: 0 })).last;
    await send(to, `retry: 2000\n${idLine(after)}\n`, options);
    // From the beginning: what is no longer kept then is no gap.
    let began = false;
    let beatAt = performance.now() + (options.heartbeatMs ?? heartbeatMs);
    while (!signal.aborted) {
      const nudged = new Promise<void>((resolve) => {
        nudge = resolve;
      });
      const page = await history
        .read({ after: began ? after : after || null, limit: readAtOnce })
        .catch(() => null);
      if (page !== null) {
        began = true;
        const matching = page.items.filter(options.matches).map(blockOf);
        // Nothing is passed over without a word.
        if (page.gap) matching.unshift(gapBlock(after, page.items[0]?.id ?? page.last));
        for (const text of together(matching)) {
          if (!(await may())) return;
          await send(to, text, options);
        }
        after = page.next;
        if (page.more) continue;
      }
      await within(nudged, Math.min(beatAt - performance.now(), page === null ? tryAgainMs : Infinity));
      if (performance.now() < beatAt || signal.aborted) continue;
      if (!(await may())) return;
      await send(to, `: heartbeat\n${idLine(after)}\n`, options);
      beatAt = performance.now() + (options.heartbeatMs ?? heartbeatMs);
    }
  } finally {
    unwatch();
    signal.removeEventListener('abort', onAbort);
  }
}

/** The latest events are at hand for all streams: each is made into text once. */
const blocks = new WeakMap<StoredEvent, string>();

function blockOf(event: StoredEvent): string {
  const known = blocks.get(event);
  if (known !== undefined) return known;
  const block = `id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(presentEvent(event))}\n\n`;
  blocks.set(event, block);
  return block;
}

function gapBlock(since: string, goesOnAt: string): string {
  const data = { since: since || 'beginning', goesOnAt: goesOnAt || null };
  return `event: gap\ndata: ${JSON.stringify(data)}\n\n`;
}

function* together(blocks: readonly string[]): Generator<string> {
  let some = '';
  for (const block of blocks) {
    if (some !== '' && some.length + block.length > mostHeldBytes) {
      yield some;
      some = '';
    }
    some += block;
  }
  if (some !== '') yield some;
}

const idLine = (after: string) => `id: ${after || 'beginning'}\n`;

/** Throws when the reader does not take it in time. */
async function send(to: Writable, text: string, { signal, slowMs: ms = slowMs }: EventStreamOptions) {
  if (to.write(text) || signal.aborted) return;
  let onDrain = () => {};
  const drained = new Promise<void>((resolve) => {
    onDrain = resolve;
  });
  to.once('drain', onDrain);
  signal.addEventListener('abort', onDrain, { once: true });
  try {
    if (!(await within(drained, ms))) throw new Error('the reader of a stream of events is too slow');
  } finally {
    to.off('drain', onDrain);
    signal.removeEventListener('abort', onDrain);
  }
}

/** Whether it came within so many milliseconds. */
async function within(wanted: Promise<void>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, Math.max(0, ms), false);
  });
  try {
    return await Promise.race([wanted.then(() => true), over]);
  } finally {
    clearTimeout(timer);
  }
}
