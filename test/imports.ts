import { stripTypeScriptTypes } from 'node:module';

export interface Import {
  specifier: string;
  /** Gone once types are stripped: it has no effect when the program runs. */
  typeOnly: boolean;
}

// A specifier between quotes of one kind, after `from`, `import`, `import(` or `export … from`.
const statement =
  /(?:^|[^\w$.])(?:(?:import|export)\b[^'"`;()]*?\bfrom\s*|import\s*\(\s*|import\s*)(['"])([^'"\n]+)\1/g;

/** Every module that the source imports, re-exports or loads dynamically by a literal name, in order. */
export function readImports(source: string): Import[] {
  const all = findSpecifiers(withoutComments(source));
  const atRunTime = new Set(findSpecifiers(withoutComments(stripTypeScriptTypes(source))));
  return [...new Set(all)].map((specifier) => ({ specifier, typeOnly: !atRunTime.has(specifier) }));
}

function findSpecifiers(source: string): string[] {
  return [...source.matchAll(statement)].map((match) => match[2] ?? '');
}

/** Comments become spaces; strings with a space in them, which no specifier has, become empty. */
export function withoutComments(source: string): string {
  const token = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/g;
  return source.replace(token, (text) => {
    if (text.startsWith('/')) return ' ';
    return /\s|\\n/.test(text) ? "''" : text;
  });
}
