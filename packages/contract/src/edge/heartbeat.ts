export const heartbeatIntervalMs = 2_000;
/** A node not heard of for this long, by the store's clock, is lost. */
export const nodeLostAfterMs = 10_000;
