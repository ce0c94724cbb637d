import type { ErrorCode } from './error-code.ts';

/** One field that is not acceptable: `pointer` is a JSON pointer (RFC 6901) into the body, or a parameter's name. */
export interface FieldError {
  pointer: string;
  detail: string;
}

export interface AppErrorOptions {
  cause?: unknown;
  errors?: FieldError[];
  /** Facts a caller may act on; they become extension members of the problem document. Never secret. */
  facts?: Record<string, string | number | null>;
}

/** An expected failure. It knows no HTTP: apps/control-plane maps codes to statuses. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly errors: FieldError[];
  readonly facts: Record<string, string | number | null>;

  constructor(code: ErrorCode, detail: string, options: AppErrorOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AppError';
    this.code = code;
    this.errors = options.errors ?? [];
    this.facts = options.facts ?? {};
  }
}

export function isAppError(error: unknown, code?: ErrorCode): error is AppError {
  return error instanceof AppError && (code === undefined || error.code === code);
}
