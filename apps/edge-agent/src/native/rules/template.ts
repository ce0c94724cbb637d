import { type Placeholder, splitAtPlaceholders } from '@lockstep/contract';
import { pathOf, type RuledRequest } from './ruled-request.ts';

/** A text with placeholders, or without. */
export type Template = (request: RuledRequest) => string;

/** None of these can carry a line break or a space: each was read strictly, or made here. */
const readers: Record<Exclude<Placeholder, 'route'>, Template> = {
  client_address: ({ clientAddress }) => clientAddress,
  host: ({ host }) => host,
  request_id: ({ requestId }) => requestId,
  path: ({ asked }) => pathOf(asked),
  scheme: ({ scheme }) => scheme,
};

/** The route's id is known beforehand, the rest is of each request. `written`: how what stands for a placeholder is written down. */
export function compileTemplate(
  text: string,
  route: string,
  written: (value: string, placeholder: Placeholder) => string = (value) => value,
): Template {
  const pieces = splitAtPlaceholders(text).map((piece, i) => {
    if (i % 2 === 0) return piece;
    if (piece === 'route') return written(route, piece);
    const placeholder = piece as keyof typeof readers;
    const read = readers[placeholder] as Template | undefined;
    return read === undefined ? `{${piece}}` : (request: RuledRequest) => written(read(request), placeholder);
  });
  if (pieces.every((piece) => typeof piece === 'string')) {
    const fixed = pieces.join('');
    return () => fixed;
  }
  return (request) => {
    let out = '';
    for (const piece of pieces) out += typeof piece === 'string' ? piece : piece(request);
    return out;
  };
}
