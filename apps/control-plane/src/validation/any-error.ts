import { AppError } from '@lockstep/contract';

/** What is not expected tells nothing of itself. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  return new AppError('internal', 'something unexpected failed', { cause: error });
}
