/** The body of a PUT in which null stands for left out: answers show null for what is not set, and are put back changed. */
export function nullsLeftOut(input: unknown): unknown {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return input;
  return Object.fromEntries(Object.entries(input).filter(([, value]) => value !== null));
}
