/** About how many bytes a record or an entry takes in a message; cheap, as it is asked of each one that is sent. */
export function sizeOf(value: unknown): number {
  if (typeof value === 'string') return value.length + 8;
  if (typeof value !== 'object' || value === null) return 8;
  let bytes = 8;
  for (const part of Array.isArray(value) ? value : Object.values(value)) bytes += sizeOf(part);
  return bytes;
}
