import type { Kind, StoredRecord } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';

/** Between two looks while changes keep coming in. */
const lookPauseMs = 20;
/** How far it looks for work of another group, and how long it leaves that be afterwards. */
const mostListed = 2_000;
const farLookMs = 1_000;

/** A queue of work. A queue never waits for another's. */
export interface Lane {
  /** Pieces of work under way at once: whoever waits for a date is none of them. */
  slots: number;
  /** Its number in the store; 0 when left out. */
  number?: number;
  /** What the store holds as dates are places in the queue: all of it is due. */
  placed?: boolean;
  /** Groups share its slots: none takes more than it leaves to the others, so that one that is slow, or fails always, holds up no other's. */
  shared?: boolean;
}

export interface DueWorkOptions<K extends Kind, L extends string> {
  store: Pick<ConfigStore, 'listDue' | 'nextDue'>;
  kind: K;
  lanes: Record<L, Lane>;
  /**
   * Does the work on a record, under a lease: any number of processes find the same. False when another has it. A hint of what it changed
   * may come before it ends. `signal` aborts when this process stops, and `close` waits for it.
   */
  run(lane: L, record: StoredRecord<K>, signal: AbortSignal): Promise<boolean>;
  groupOf?(value: StoredRecord<K>['value'], id: string): string;
  /** While false, nothing is taken up; `wake` when that changes. */
  may?(): boolean;
  /** How long it sleeps at the most, since hints may be lost; and how long work that went wrong is let be. */
  idleMs: number;
  /** How long work that another process has is let be. */
  elsewhereMs: number;
  log: Logger;
  now?: () => number;
}

/** Does work as it falls due, by dates in the store. */
export interface DueWork<K extends Kind, L extends string> {
  /** Looks at a queue soon, or at all of them. */
  wake(lane?: L): void;
  /** Hears that a record was changed and is in this queue now: it is looked for there, at once or when the work on it is over. */
  hear(id: string, lane: L): void;
  /** Takes up a record without a look, where there is a slot that its group may have. */
  take(lane: L, record: StoredRecord<K>): void;
  /** Pieces of work under way here. */
  running(lane: L): number;
  close(): Promise<void>;
}

interface Running<L> {
  lane: L;
  /** Where the record stands by now. */
  next: L;
  group: string;
  done: Promise<void>;
}

export function createDueWork<K extends Kind, L extends string>(
  options: DueWorkOptions<K, L>,
): DueWork<K, L> {
  const { store, kind, lanes, run, idleMs, elsewhereMs, log, now = Date.now } = options;
  const { may = () => true, groupOf = () => '' } = options;
  const names = Object.keys(lanes) as L[];
  const stop = new AbortController();
  const running = new Map<string, Running<L>>();
  /** What another process works on, or went wrong here, and when to look at it again. */
  const elsewhere = new Map<string, number>();
  /** When each queue is looked at next, by this process's clock. A hint makes it at once. */
  const lookAt = new Map(names.map((lane) => [lane, 0]));
  const farLookAt = new Map<L, number>();
  let nextLook: { cancel(): void } | null = null;
  let looking = false;
  let quietUntil = 0;

  /** After what goes on in this turn of the loop, since somebody may wait for an answer that is being written. */
  function plan(): void {
    if (looking || stop.signal.aborted) return;
    nextLook?.cancel();
    const inMs = Math.max(quietUntil, Math.min(...lookAt.values())) - performance.now();
    nextLook = inMs > 0 ? after(inMs, look) : afterThisTurn(look);
  }

  /** Takes up what is due in each queue whose time has come. */
  function look(): void {
    looking = true;
    const at = performance.now();
    const concerned = names.filter((lane) => (lookAt.get(lane) ?? 0) <= at);
    for (const lane of concerned) lookAt.set(lane, at + idleMs);
    takeUp(concerned)
      .catch((error: unknown) => {
        if (!stop.signal.aborted) log.warn({ err: error, kind }, 'cannot look for what is due; trying again');
      })
      .then(() => {
        looking = false;
        // Every change of a record, by whichever process, comes as a hint: many are one look.
        quietUntil = performance.now() + lookPauseMs;
        plan();
      });
  }

  async function takeUp(concerned: L[]): Promise<void> {
    if (!may()) return;
    for (const [id, until] of elsewhere) if (until <= now()) elsewhere.delete(id);
    await Promise.all(
      concerned.map(async (lane) => {
        const until = performance.now() + (await lookAtLane(lane));
        lookAt.set(lane, Math.min(lookAt.get(lane) ?? 0, until));
      }),
    );
  }

  /** Tells how long nothing else of the queue will be due. */
  async function lookAtLane(lane: L): Promise<number> {
    const { slots, number = 0, placed = false, shared = false } = lanes[lane];
    const free = () => slots - count((one) => one.lane === lane);
    // A place that becomes free is looked after by whoever leaves it. What has begun stays with those who took it from another queue.
    let limit = slots + elsewhere.size + (placed ? 0 : running.size);
    while (free() > 0) {
      const until = placed ? Number.MAX_SAFE_INTEGER : now();
      const due = await store.listDue(kind, until, limit, number);
      if (stop.signal.aborted) return idleMs;
      for (const record of due) take(lane, record);
      if (due.length < limit) break;
      if (!shared) return idleMs;
      if (limit >= mostListed || performance.now() < (farLookAt.get(lane) ?? 0)) return farLookMs;
      limit = mostListed;
      farLookAt.set(lane, performance.now() + farLookMs);
    }
    if (free() <= 0 || placed) return idleMs;
    const next = await store.nextDue(kind, number);
    // What is due and was not taken is elsewhere, or waits for a slot that its group may have.
    return next === null || next <= now() ? idleMs : next - now();
  }

  function count(matches: (one: Running<L>) => boolean): number {
    let found = 0;
    for (const one of running.values()) if (matches(one)) found += 1;
    return found;
  }

  function take(lane: L, record: StoredRecord<K>): void {
    const { id } = record;
    if (stop.signal.aborted || running.has(id) || elsewhere.has(id)) return;
    const { slots, shared = false } = lanes[lane];
    const ofLane = count((one) => one.lane === lane);
    if (ofLane >= slots) return;
    const group = groupOf(record.value, id);
    const ofGroup = count((one) => one.lane === lane && one.group === group);
    if (shared && ofGroup >= Math.max(1, slots - ofLane)) return;
    const done = run(lane, record, stop.signal)
      .then((mine) => {
        if (!mine) elsewhere.set(id, now() + elsewhereMs);
      })
      .catch((error: unknown) => {
        if (stop.signal.aborted) return;
        elsewhere.set(id, now() + idleMs);
        log.error({ err: error, kind, id }, 'due work was interrupted; it is taken up again');
      })
      .finally(() => {
        const { next = lane } = running.get(id) ?? {};
        running.delete(id);
        lookAt.set(next, 0);
        wake(lane);
      });
    running.set(id, { lane, next: lane, group, done });
  }

  function wake(lane?: L): void {
    for (const name of lane === undefined ? names : [lane]) lookAt.set(name, 0);
    plan();
  }

  plan();
  return {
    wake,
    hear(id, lane) {
      const mine = running.get(id);
      if (mine === undefined) wake(lane);
      else mine.next = lane;
    },
    take,
    running: (lane) => count((one) => one.lane === lane),
    async close() {
      stop.abort(new Error('the control plane stops'));
      nextLook?.cancel();
      await Promise.allSettled([...running.values()].map(({ done }) => done));
    },
  };
}

function after(ms: number, run: () => void): { cancel(): void } {
  const timer = setTimeout(run, ms);
  return { cancel: () => clearTimeout(timer) };
}

function afterThisTurn(run: () => void): { cancel(): void } {
  const immediate = setImmediate(run);
  return { cancel: () => clearImmediate(immediate) };
}
