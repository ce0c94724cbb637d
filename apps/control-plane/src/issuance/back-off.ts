const steps = [60_000, 600_000, 6_000_000]; // the CA's own advice: 1, 10, 100 minutes, then daily
const capMs = 86_400_000;

/** How long to wait after the `failures`-th failure in a row: growing, jittered by a fifth, at most a day. `random` is in [0, 1). */
export function backOffMs(failures: number, random: () => number = Math.random): number {
  const base = steps[failures - 1] ?? capMs;
  return Math.min(capMs, Math.round(base * (0.9 + random() * 0.2)));
}

const firstStumbleMs = 2_000;

/** How long to leave a CA alone that failed for a moment while an order was under way. */
export function stumbleMs(stumbles: number, random: () => number = Math.random): number {
  return Math.round(firstStumbleMs * 2 ** (stumbles - 1) * (0.9 + random() * 0.2));
}

const firstDnsCheckMs = 10_000;
const dnsCheckCapMs = 3_600_000;

/** How long until the next look after `checks` looks at a DNS that did not lead here: growing by a half, at most an hour. */
export function dnsCheckMs(checks: number, random: () => number = Math.random): number {
  const base = Math.min(dnsCheckCapMs, firstDnsCheckMs * 1.5 ** Math.min(checks - 1, 30));
  return Math.round(base * (0.9 + random() * 0.2));
}
