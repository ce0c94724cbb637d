/** A field by its name as it was sent. What the kinds are is for whoever asks to say. */
interface Field {
  lower: string;
  kind: number;
}

/** What never passes the edge either way (RFC 9110, section 7.6.1). */
export const hopByHop = 'keep-alive proxy-connection proxy-authenticate te upgrade http2-settings'.split(' ');

const mostKnown = 2_000;
const longestKnown = 64;

/** Finds the field of a name. The same few names come again and again; what is remembered is bounded, for one may invent them. */
export function createFieldKinds(kindOf: (lower: string) => number): (name: string) => Field {
  const known = new Map<string, Field>();
  return (name) => {
    let field = known.get(name);
    if (field === undefined) {
      const lower = name.toLowerCase();
      field = { lower, kind: kindOf(lower) };
      if (known.size < mostKnown && name.length <= longestKnown) known.set(name, field);
    }
    return field;
  };
}

/** Takes the fields that `Connection` names out of the flat pairs. */
export function dropNamed(fields: string[], connection: string): void {
  if (connection === 'keep-alive' || connection === 'close' || connection === 'Upgrade') return;
  const names = new Set(connection.split(',').map((part) => part.trim().toLowerCase()));
  // Naming these would take away what frames the message and says what it is.
  for (const kept of ['host', 'content-length', 'content-type']) names.delete(kept);
  let to = 0;
  for (let i = 0; i < fields.length; i += 2) {
    if (names.has(fields[i]!.toLowerCase())) continue;
    fields[to] = fields[i]!;
    fields[to + 1] = fields[i + 1]!;
    to += 2;
  }
  fields.length = to;
}
