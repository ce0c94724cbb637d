const steps = [60_000, 600_000, 6_000_000]; // the CA's own advice: 1, 10, 100 minutes, then daily
const capMs = 86_400_000;

/** How long to wait after the `failures`-th failure in a row: growing, jittered by a fifth, at most a day. `random` is in [0, 1). */
export function backOffMs(failures: number, random: () => number = Math.random): number {
  const base = steps[failures - 1] ?? capMs;
  return Math.min(capMs, Math.round(base * (0.9 + random() * 0.2)));
}
