const link = /<([^>]*)>([^<]*)/g;
const alternate = /;\s*rel\s*=\s*(?:"(?:[^"]* )?alternate(?: [^"]*)?"|alternate(?=\s*(?:[;,]|$)))/i;

/** The targets of a Link header (RFC 8288) that are alternates of what it came with, as absolute URLs. */
export function alternateLinks(header: unknown, base: string): string[] {
  if (typeof header !== 'string') return [];
  return [...header.matchAll(link)]
    .filter(([, , parameters]) => alternate.test(parameters ?? ''))
    .map(([, target]) => target ?? '')
    .filter((target) => URL.canParse(target, base))
    .map((target) => new URL(target, base).href);
}
