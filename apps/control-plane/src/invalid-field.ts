import { AppError, type FieldError } from '@lockstep/contract';
import type { z } from 'zod';

/** An `invalid_request` about one field; `pointer` is a JSON pointer into the body (RFC 6901), or a parameter's name. */
export function invalidField(pointer: string, detail: string, cause?: unknown): AppError {
  return invalidRequest([{ pointer, detail }], cause);
}

export function invalidRequest(errors: FieldError[], cause?: unknown): AppError {
  const detail = errors.map((error) => `${error.pointer}: ${error.detail}`).join('; ');
  return new AppError('invalid_request', detail, { cause, errors });
}

/** What a schema has against a body. */
export function toInvalidRequest({ issues }: z.ZodError): AppError {
  return invalidRequest(
    issues.flatMap((issue) => {
      const pointer = issue.path.map((part) => pointerPart(String(part))).join('');
      if (issue.code !== 'unrecognized_keys') return [{ pointer, detail: issue.message }];
      return unknownFields(pointer, issue.keys);
    }),
  );
}

export function unknownFields(pointer: string, keys: string[]): FieldError[] {
  return keys.map((key) => ({ pointer: pointer + pointerPart(key), detail: 'there is no such field' }));
}

function pointerPart(key: string): string {
  return `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`; // RFC 6901, section 3
}
