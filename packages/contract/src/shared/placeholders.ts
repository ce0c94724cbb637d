/** What may stand for something of the request in the values of a route's `headers`, and in `redirect.to`. */
export const placeholders = ['client_address', 'host', 'request_id', 'route', 'path', 'scheme'] as const;
export type Placeholder = (typeof placeholders)[number];

const known: ReadonlySet<string> = new Set(placeholders);
// Other braces, as those of JSON, are text.
const placeholder = /\{([a-z_]+)\}/;

/** A text cut at its placeholders: pieces of text at even places, names at odd ones. */
export function splitAtPlaceholders(text: string): string[] {
  return text.split(placeholder);
}

/** The first name in braces that stands for nothing; null when there is none. */
export function unknownPlaceholder(text: string): string | null {
  return splitAtPlaceholders(text).find((piece, i) => i % 2 === 1 && !known.has(piece)) ?? null;
}
