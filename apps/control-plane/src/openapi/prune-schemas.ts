interface Document {
  components?: { schemas?: Record<string, unknown> };
}

const reference = /"#\/components\/schemas\/([^"]+)"/g;

/**
 * Drops the component schemas that nothing refers to, and the `Input` that the type provider adds to the ids of request
 * schemas: it registers each once for input and once for output.
 */
export function pruneSchemas<T extends object>(document: T): T {
  const { components, ...rest } = document as Document;
  const schemas = components?.schemas ?? {};
  const used = new Set<string>();
  const visit = (node: unknown) => {
    for (const [, name] of JSON.stringify(node).matchAll(reference)) {
      if (name === undefined || used.has(name)) continue;
      used.add(name);
      visit(schemas[name]);
    }
  };
  visit(rest);
  const nameOf = (id: string) => {
    const short = id.replace(/Input$/, '');
    return used.has(short) ? id : short;
  };
  const kept = [...used]
    .map((id): [string, unknown] => [nameOf(id), schemas[id]])
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const pruned = { ...rest, components: { ...components, schemas: Object.fromEntries(kept) } };
  const renamed = JSON.stringify(pruned).replace(
    reference,
    (_, id: string) => `"#/components/schemas/${nameOf(id)}"`,
  );
  return JSON.parse(renamed) as T;
}
