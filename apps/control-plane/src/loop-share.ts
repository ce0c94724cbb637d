/** What a turn of the event loop spends on work that can wait, before sockets come again. */
const longestMs = 5;

/**
 * Shares out the turns of the event loop. Whoever has work that takes the processor and can wait asks for its turn first: so many go on in
 * one turn of the loop as it bears, in the order in which they asked, and connections, health checks and reads come in between.
 */
export interface LoopShare {
  /** `urgent`: somebody waits for what comes of it, so it goes before all that is not. */
  turn(urgent?: boolean): Promise<void>;
}

export function createLoopShare({ turnMs = longestMs }: { turnMs?: number } = {}): LoopShare {
  const urgent: Resume[] = [];
  const others: Resume[] = [];
  let going = false;

  /** Lets them go on one after another, each as far as it comes without waiting for anything, until the time is up. */
  function go(): void {
    const until = performance.now() + turnMs;
    const next = () => {
      if (urgent.length + others.length === 0) {
        going = false;
      } else if (performance.now() >= until) {
        setImmediate(go);
      } else {
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
        if (going) return;
        going = true;
        setImmediate(go);
      });
    },
  };
}

type Resume = () => void;
