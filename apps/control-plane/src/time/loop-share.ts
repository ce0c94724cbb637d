/** What a turn of the event loop spends on work that can wait, before sockets come again. */
const longestMs = 1;
/** Between two pieces of work that nobody waits for, while there is some that somebody does. */
const pauseMs = 4;

/**
 * Shares out the turns of the event loop. Whoever has work that takes the processor and can wait asks for its turn first: so many go on in
 * one turn of the loop as it bears, in the order in which they asked, and connections, health checks and reads come in between. While
 * somebody waits for other work, this process leaves the processors to it.
 */
export interface LoopShare {
  turn(lane: Lane): Promise<void>;
  /** Whether work that somebody waits for is under way, here or elsewhere. */
  hurry(): boolean;
}

/** What somebody waits for goes before all that is not; requests and orders of others take turns, so that neither waits for all of the other's. */
export type Lane = 'waited' | 'requests' | 'orders';

export interface LoopShareOptions {
  turnMs?: number;
  hurry?: () => boolean;
}

export function createLoopShare({
  turnMs = longestMs,
  hurry = () => false,
}: LoopShareOptions = {}): LoopShare {
  const lanes: Record<Lane, Resume[]> = { waited: [], requests: [], orders: [] };
  let latest: 'requests' | 'orders' = 'orders';
  let going = false;
  let pause: NodeJS.Timeout | null = null;
  let pausedUntil = 0;

  function next(): Resume | undefined {
    if (lanes.waited.length > 0) return lanes.waited.shift();
    const other = latest === 'orders' ? 'requests' : 'orders';
    if (lanes[other].length > 0) latest = other;
    return lanes[latest].shift();
  }

  /** Lets them go on one after another, each as far as it comes without waiting for anything, until the time is up. */
  function go(): void {
    pause = null;
    const until = performance.now() + turnMs;
    const goOn = () => {
      const at = performance.now();
      const waited = lanes.waited.length > 0;
      if (!waited && lanes.requests.length + lanes.orders.length === 0) {
        going = false;
      } else if (!waited && at < pausedUntil) {
        pause = setTimeout(go, pausedUntil - at);
      } else if (at >= until) {
        setImmediate(go);
      } else {
        if (!waited && hurry()) pausedUntil = at + pauseMs;
        next()?.();
        // A tick that is asked for among the microtasks comes after all of them: after all that follows from it now.
        queueMicrotask(() => process.nextTick(goOn));
      }
    };
    goOn();
  }

  return {
    hurry,
    turn(lane) {
      return new Promise((resolve) => {
        lanes[lane].push(resolve);
        if (going && (pause === null || lane !== 'waited')) return;
        going = true;
        if (pause !== null) clearTimeout(pause);
        pause = null;
        setImmediate(go);
      });
    },
  };
}

type Resume = () => void;
