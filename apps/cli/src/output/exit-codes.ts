/** What scripts can tell apart, beside 0 (done) and 1 (it could not be done). */
export const exitCodes = {
  notLive: 3,
  notFound: 4,
  faultsFound: 5,
  /** `apply --dry-run`: something is to be changed. */
  changes: 6,
} as const;
