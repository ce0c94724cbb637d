/** The queues of due orders, by urgency: a lower one is served first, and none waits for the ones after it. */
export const orderLanes = { first: 0, renewal: 1, retry: 2, dns: 3, upkeep: 4 } as const;
export type OrderLane = keyof typeof orderLanes;
