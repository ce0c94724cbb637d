/** Flat pairs as HTTP/2 has them, without some. */
export function fieldsOverHttp2(fields: readonly string[], without: ReadonlySet<string>) {
  const all: Record<string, string | string[]> = Object.create(null);
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!.toLowerCase();
    if (without.has(name)) continue;
    const before = all[name];
    all[name] = before === undefined ? fields[i + 1]! : [before, fields[i + 1]!].flat();
  }
  return all;
}
