/** A list as it is asked for, a page at a time. */
export interface Page<T> {
  items: T[];
  next: string | null;
}

/** Each of a list, the next page being asked for once the last one is through. */
export async function* eachOf<T>(
  read: (cursor: string | undefined) => Promise<Page<T>>,
): AsyncGenerator<T, void> {
  let cursor: string | undefined;
  do {
    const { items, next } = await read(cursor);
    yield* items;
    cursor = next ?? undefined;
  } while (cursor !== undefined);
}
