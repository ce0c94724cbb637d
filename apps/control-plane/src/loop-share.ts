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
  /** `urgent`: somebody waits for what comes of it, so it goes before all that is not. */
  turn(urgent?: boolean): Promise<void>;
}

export interface LoopShareOptions {
  turnMs?: number;
  /** Whether work that somebody waits for is under way, here or elsewhere. */
  hurry?: () => boolean;
}

export function createLoopShare({
  turnMs = longestMs,
  hurry = () => false,
}: LoopShareOptions = {}): LoopShare {
  const urgent: Resume[] = [];
  const others: Resume[] = [];
  let going = false;
  let pause: NodeJS.Timeout | null = null;
  let pausedUntil = 0;

  /** Lets them go on one after another, each as far as it comes without waiting for anything, until the time is up. */
  function go(): void {
    pause = null;
    const until = performance.now() + turnMs;
    const next = () => {
      const at = performance.now();
      if (urgent.length + others.length === 0) {
        going = false;
      } else if (urgent.length === 0 && at < pausedUntil) {
        pause = setTimeout(go, pausedUntil - at);
      } else if (at >= until) {
        setImmediate(go);
      } else {
        if (urgent.length === 0 && hurry()) pausedUntil = at + pauseMs;
        (urgent.shift() ?? others.shift())?.();
        // A tick that is asked for among the microtasks comes after all of them: after all that follows from it now.
        queueMicrotask(() => process.nextTick(next));
      }
    };
    next();
  }

  return {
    turn(isUrgent = false) {
      return new Promise((resolve) => {
        (isUrgent ? urgent : others).push(resolve);
        if (going && (pause === null || !isUrgent)) return;
        going = true;
        if (pause !== null) clearTimeout(pause);
        pause = null;
        setImmediate(go);
      });
    },
  };
}

type Resume = () => void;
