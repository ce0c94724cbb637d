/** So many checks are under way at once: what an edge starts with, or finds again after an outage, must not take all its descriptors. */
export interface ProbeGate {
  run<T>(work: () => Promise<T>): Promise<T>;
}

export function createProbeGate(most: number): ProbeGate {
  const waiting: (() => void)[] = [];
  let running = 0;
  return {
    async run(work) {
      if (running >= most) await new Promise<void>((resolve) => waiting.push(resolve));
      else running += 1;
      try {
        return await work();
      } finally {
        const next = waiting.shift();
        if (next === undefined) running -= 1;
        else next();
      }
    },
  };
}
