import { readFileSync } from 'node:fs';
import { AppError } from '@lockstep/contract';
import { parseAllDocuments } from 'yaml';

/** A document of a file, and where it stands, for what is said of it. */
export interface ReadDocument {
  value: unknown;
  place: string;
}

/** The documents of a file of YAML, or of JSON, which is YAML; `-` is standard input. Throws `bad_configuration` for what is none. */
export function readDocuments(file: string): ReadDocument[] {
  const name = file === '-' ? 'standard input' : file;
  let text: string;
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    throw new AppError('bad_configuration', `${name} cannot be read (${code})`, { cause });
  }
  const documents = parseAllDocuments(text, { uniqueKeys: true });
  if (!Array.isArray(documents)) return [];
  return documents.map((document, index) => {
    const [fault] = document.errors;
    if (fault !== undefined)
      throw new AppError('bad_configuration', `${name} is not YAML: ${fault.message.split('\n', 1)[0]}`);
    return {
      value: document.toJS({ maxAliasCount: 100 }),
      place: documents.length === 1 ? name : `${name}, document ${index + 1}`,
    };
  });
}
