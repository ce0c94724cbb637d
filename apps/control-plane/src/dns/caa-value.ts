export interface IssueValue {
  /** In lower case; empty: nobody. */
  issuer: string;
  parameters: { tag: string; value: string }[];
}

const label = '[a-z0-9](?:[a-z0-9-]*[a-z0-9])?';
const issuer = new RegExp(`^(?:${label}(?:\\.${label})*)?$`);
const parameter = /^([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)[ \t]*=[ \t]*([\x21-\x3a\x3c-\x7e]*)$/i;

/** The value of an `issue` or `issuewild` property; null for one that is malformed, which names nobody (RFC 8659, section 4.2). */
export function parseIssueValue(value: string): IssueValue | null {
  const [name = '', ...rest] = value.split(';').map((part) => part.trim());
  if (!issuer.test(name.toLowerCase())) return null;
  const parameters: IssueValue['parameters'] = [];
  // The grammar has nothing between two semicolons, but CAs read over it; one at the end is common.
  for (const part of rest.filter((text) => text !== '')) {
    const match = parameter.exec(part);
    if (match === null) return null;
    parameters.push({ tag: match[1]!.toLowerCase(), value: match[2]! });
  }
  return { issuer: name.toLowerCase(), parameters };
}
