import { AppError, type FieldError } from '@lockstep/contract';
import type { z } from 'zod';

/** What answers have besides what bodies take: met where somebody sends back what GET showed. */
const shown = new Set(['revision', 'status', 'createdAt', 'updatedAt', 'source', 'secrets', 'accountUrl']);

/** An `invalid_request` about one field; `pointer` is a JSON pointer into the body (RFC 6901), or a parameter's name. */
export function invalidField(pointer: string, detail: string, cause?: unknown): AppError {
  return invalidRequest([{ pointer, detail }], cause);
}

export function invalidRequest(errors: FieldError[], cause?: unknown): AppError {
  const message = errors
    .map(({ pointer, detail }) => `${pointer === '' ? 'the body' : pointer}: ${detail}`)
    .join('; ');
  return new AppError('invalid_request', message, { cause, errors });
}

/** What a schema has against a body. */
export function toInvalidRequest({ issues }: z.ZodError): AppError {
  return invalidRequest(
    issues.flatMap((issue) => {
      const pointer = issue.path.map((part) => pointerPart(String(part))).join('');
      if (issue.code !== 'unrecognized_keys') return [{ pointer, detail: issue.message }];
      return unknownFields(pointer, issue.keys, issue.message);
    }),
  );
}

/** `message`: what the schema says, a line for each key. */
export function unknownFields(pointer: string, keys: string[], message: string): FieldError[] {
  const lines = message.split('\n');
  return keys.map((key, index) => ({
    pointer: pointer + pointerPart(key),
    detail:
      pointer === '' && shown.has(key)
        ? 'is shown only, and set by Lockstep: leave it out'
        : (lines[index] ?? 'there is no such field'),
  }));
}

export function pointerPart(key: string): string {
  return `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`; // RFC 6901, section 3
}
