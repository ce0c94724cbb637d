/** More records of one name are not told of, nor more of one: whoever keeps a zone may put 64 KiB into an answer, which would be kept and shown. */
const mostShown = 10;
const longest = 300;

/** What cannot be seen, or changes how what stands around it is read: it would forge lines of a mail. */
const unseen = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** What was found in the DNS, as it is kept and shown: one line each, and what is looked for before all others. */
export function shownRecords(values: readonly string[], wanted: readonly string[] = []): string[] {
  const there = values.filter((value) => wanted.includes(value));
  const others = values.filter((value) => !wanted.includes(value));
  return [...there, ...others].slice(0, mostShown).map(shownText);
}

export function shownText(text: string): string {
  const line = text.slice(0, longest).toWellFormed().replace(unseen, '\ufffd');
  return text.length > longest ? `${line}…` : line;
}
