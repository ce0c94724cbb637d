/** More records of one name are not told of, nor more of one: whoever keeps a zone may put 64 KiB into an answer, which would be kept and shown. */
const mostShown = 10;
const longest = 300;

/** What was found in the DNS, as it is kept and shown. */
export function shownRecords(values: readonly string[]): string[] {
  return values.slice(0, mostShown).map(shownText);
}

export function shownText(text: string): string {
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}
