import { AppError } from '@lockstep/contract';

/** How it is said that a command's connection ended. */
export const connectionLost = 'connection lost';

const unavailable =
  /^(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOREPLICAS|MISCONF|OOM|BUSY|UNKILLABLE|NOTBUSY)\b/;
const refused = /^(WRONGPASS|NOAUTH|NOPERM)\b|The user executing the script can't/;

/**
 * What ioredis or the server said, as this store says it. The driver's own error never becomes the cause: it carries the
 * command's arguments, passwords and sealed keys among them.
 */
export function toStoreError(error: unknown, shown: string): AppError {
  if (error instanceof AppError) return error;
  const message = describe(error);
  const cause = new Error(message);
  if (refused.test(message)) {
    return new AppError('bad_configuration', `the store ${shown} refuses this user: ${message}`, { cause });
  }
  if (message.startsWith('WRONGTYPE')) return wrongType(error, shown, cause);
  if (error instanceof Error && error.name === 'ReplyError' && !unavailable.test(message)) {
    return new AppError('internal', `the store ${shown} could not run a command: ${message}`, { cause });
  }
  return new AppError('store_unavailable', `the store ${shown} cannot be reached: ${message}`, { cause });
}

/** Control planes make anew what can be (see `ConfigStore.check`); without records and their history there is no store. */
function wrongType(error: unknown, shown: string, cause: Error): AppError {
  const [named] = (error as { command?: { args?: unknown[] } }).command?.args ?? [];
  const key = typeof named === 'string' && /^\{[^}]*\}:[\w:.-]*$/.test(named) ? named : null;
  const lost = key !== null && /:(meta|records)$/.test(key);
  const what = key === null ? 'a key' : `the key ${key}`;
  return new AppError(
    lost ? 'store_lost' : 'store_unavailable',
    `${what} of the store ${shown} is of another type than it has to be`,
    { cause, ...(key !== null && { facts: { key } }) },
  );
}

function describe(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(describe).join(', ');
  const message = error instanceof Error ? error.message : String(error);
  return isLost(error) ? connectionLost : message;
}

/** Whether the command's connection ended; ioredis explains that in terms of its own options. */
export function isLost(error: unknown): boolean {
  return (
    error instanceof Error &&
    /enableOfflineQueue|maxRetriesPerRequest|Connection is closed/.test(error.message)
  );
}

/** Whether ioredis refused to take the command, so that it certainly was not sent. */
export function wasNotSent(error: unknown): boolean {
  return error instanceof Error && error.message.includes('enableOfflineQueue');
}
