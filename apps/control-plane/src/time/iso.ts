/** Milliseconds since 1970 as records and the API have them. */
export function iso(ms: number): string {
  return new Date(ms).toISOString();
}
