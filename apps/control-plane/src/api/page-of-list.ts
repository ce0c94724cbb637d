import type { Page, PageRequest } from '@lockstep/store';

/** A page of a list that is at hand as a whole, in the order of its ids. */
export function pageOfList<T>(
  all: readonly T[],
  { limit, cursor }: PageRequest,
  idOf: (item: T) => string,
): Page<T> {
  const left = cursor === undefined ? all : all.filter((item) => idOf(item) > cursor);
  const items = left.slice(0, limit);
  const last = items.at(-1);
  return { items, next: last !== undefined && left.length > limit ? idOf(last) : null };
}
