const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;

/** After each failure of an event in a row: three days in all, as Standard Webhooks recommends. */
export const retryAfterMs = [
  5 * second,
  5 * minute,
  30 * minute,
  2 * hour,
  5 * hour,
  10 * hour,
  14 * hour,
  20 * hour,
  24 * hour,
];

/** A webhook that took nothing for so long is disabled, by the last try of an event. */
export const patienceMs = 72 * hour;
