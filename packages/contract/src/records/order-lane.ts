/**
 * The queues of due orders, by urgency: a lower one is served first, and none waits for the ones after it. `waited`: first attempts that
 * somebody waits for; `first`: all others; `pressing`: those that have begun or had their turn, and renewals that cannot wait.
 */
export const orderLanes = {
  waited: 0,
  first: 1,
  pressing: 2,
  renewal: 3,
  retry: 4,
  dns: 5,
  upkeep: 6,
} as const;
export type OrderLane = keyof typeof orderLanes;

/** Lanes in which orders go by their place, not by a date. */
export const placedLanes: readonly OrderLane[] = ['waited', 'first'];
